//! PURE: from facts to what is needed, and how what is missing comes in.

use std::path::{Path, PathBuf};

use crate::facts::{Apt, Compiler, Facts, Origin};
use crate::process::Line;

/// The workspace's `rust-version`: the BPF crate is in the workspace, so its compiler must be as new.
const OLDEST_RUST: u32 = 95;
/// The oldest kernel with all that splitter uses: the last to come were links at TC (TCX).
const OLDEST_KERNEL: (u32, u32) = (6, 6);
/// The linker that goes with the aya of the workspace.
const LINKER_VERSION: &str = "0.13.0";
/// The LLVMs that this linker can be built for.
const LINKER_LLVM: std::ops::RangeInclusive<u32> = 19..=22;

/// Something needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// What.
    pub(crate) name: &'static str,
    /// Whether it is there.
    pub(crate) state: State,
}

/// Whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is; which one.
    Met(String),
    /// It is not: why, and what brings it.
    Missing(String, Remedy),
}

/// What brings a missing thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// These commands, in this order.
    Commands(Vec<Line>),
    /// Something that only the user can do.
    ByHand(String),
}

/// Everything that building and linting needs. A need that depends on another is decided again once that is met.
pub(crate) fn all(facts: &Facts) -> Vec<Need> {
    vec![
        kernel(facts),
        // What may not be had comes before what takes long.
        component("rustfmt", "rustfmt", facts.rustfmt),
        component("clippy", "clippy", facts.clippy),
        bpf_compiler(facts),
        bpf_clippy(facts),
        ip(facts),
        bpf_linker(facts),
    ]
}

/// The compiler that builds the BPF crate, if there is one that can. Debian's comes before rustup's because it brings
/// a compiled `core`, which saves 20 seconds of CPU time.
pub(crate) fn chosen(facts: &Facts) -> Option<&Compiler> {
    let usable = |c: &&Compiler| c.minor >= OLDEST_RUST && c.has_core;
    match &facts.environment {
        Some(named) => named.as_ref().ok().filter(usable),
        None => facts
            .debian
            .as_ref()
            .filter(usable)
            .or(facts.rustup.as_ref().filter(usable)),
    }
}

fn kernel(facts: &Facts) -> Need {
    let (major, minor) = facts.kernel;
    let (least_major, least_minor) = OLDEST_KERNEL;
    let state = if facts.kernel >= OLDEST_KERNEL {
        State::Met(format!("Linux {major}.{minor}"))
    } else {
        State::Missing(
            format!("Linux {major}.{minor} is too old"),
            Remedy::ByHand(format!("run on Linux {least_major}.{least_minor} or newer")),
        )
    };
    Need {
        name: "kernel",
        state,
    }
}

fn bpf_compiler(facts: &Facts) -> Need {
    let state = if let Some(c) = chosen(facts) {
        State::Met(format!(
            "{} (1.{}, LLVM {}, {})",
            c.rustc.display(),
            c.minor,
            c.llvm,
            if c.prebuilt_core {
                "with core"
            } else {
                "builds core"
            }
        ))
    } else if let Some(named) = &facts.environment {
        let why = match named {
            Err(error) => error.clone(),
            Ok(c) if c.minor < OLDEST_RUST => {
                format!(
                    "SPLITTER_BPF_RUSTC is Rust 1.{}, older than 1.{OLDEST_RUST}",
                    c.minor
                )
            }
            Ok(_) => "SPLITTER_BPF_RUSTC has neither a compiled `core` for bpfel-unknown-none nor rust-src".into(),
        };
        let what = "point SPLITTER_BPF_RUSTC and SPLITTER_BPF_CARGO to a toolchain that can, or unset both";
        State::Missing(why, Remedy::ByHand(what.into()))
    } else {
        State::Missing("none found".into(), compiler_remedy(facts))
    };
    Need {
        name: "BPF compiler",
        state,
    }
}

const DEBIAN_PACKAGES: [&str; 3] = ["cargo-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];

fn compiler_remedy(facts: &Facts) -> Remedy {
    match facts.apt {
        Apt::Offers(minor) if minor >= OLDEST_RUST => {
            Remedy::Commands(vec![apt_install(DEBIAN_PACKAGES)])
        }
        // Lists of an old machine image name an old compiler, or nothing: looked at anew, then decided.
        Apt::NoLists | Apt::Offers(_) | Apt::Unknown if !facts.lists_fresh => {
            Remedy::Commands(vec![apt_update()])
        }
        _ if facts.has_rustup => Remedy::Commands(vec![rustup_add("rust-src")]),
        _ => Remedy::ByHand(
            "install rustup (https://rustup.rs) and its component rust-src, or set SPLITTER_BPF_RUSTC and \
             SPLITTER_BPF_CARGO"
                .into(),
        ),
    }
}

/// The compiler that lacks nothing but the source of `core`, where that is what will be brought: what is shown for the
/// linker can then name it.
fn to_be_completed(facts: &Facts) -> Option<&Compiler> {
    let source = Remedy::Commands(vec![rustup_add("rust-src")]);
    let rustup = facts.rustup.as_ref()?;
    (facts.environment.is_none() && compiler_remedy(facts) == source).then_some(rustup)
}

/// Brings apt's package lists up to date.
pub(crate) fn apt_update() -> Line {
    Line::new(["apt-get", "update", "-o", "Acquire::Retries=3"])
}

fn apt_install(packages: impl IntoIterator<Item = &'static str>) -> Line {
    // A machine that has just booted may be upgrading itself: its lock is waited for.
    Line::new(["apt-get", "install", "--yes", "--no-install-recommends"])
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn rustup_add(component: &str) -> Line {
    Line::new(["rustup", "component", "add", component])
}

fn bpf_linker(facts: &Facts) -> Need {
    Need {
        name: "BPF linker",
        state: linker_state(facts),
    }
}

fn linker_state(facts: &Facts) -> State {
    let compiler = chosen(facts).or_else(|| to_be_completed(facts));
    let llvm = compiler.map(|c| c.llvm);
    let why = match &facts.linker {
        Some(linker) => {
            let path = linker.path.display();
            match (&linker.version, linker.llvm) {
                (None, _) => format!("{path} does not run"),
                (Some(version), _)
                    if !linker.from_environment && !version.ends_with(LINKER_VERSION) =>
                {
                    format!("{path} is {version}, not {LINKER_VERSION}")
                }
                (Some(_), Some(own)) if llvm.is_some_and(|llvm| own < llvm) => {
                    format!(
                        "{path} has LLVM {own}, older than the compiler's {}",
                        llvm.unwrap_or(own)
                    )
                }
                (Some(version), _) => return State::Met(format!("{path} ({version})")),
            }
        }
        None => "none found".into(),
    };
    if facts.linker.as_ref().is_some_and(|l| l.from_environment) {
        let what = "point SPLITTER_BPF_LINKER to a bpf-linker that does, or unset it";
        return State::Missing(why, Remedy::ByHand(what.into()));
    }
    State::Missing(why, linker_remedy(&facts.tools, compiler))
}

/// bpf-linker wants a folder with `lib/libLLVM.so`, and finds the library at run time in that same folder, by the
/// name that the library has of itself: hence two links. Its speed is LLVM's, so it is built without optimisation,
/// in a third of the time.
fn linker_remedy(tools: &Path, compiler: Option<&Compiler>) -> Remedy {
    let llvm_folder = tools.join("llvm/lib");
    let (feature, library) = match compiler {
        Some(c) if !LINKER_LLVM.contains(&c.llvm) => {
            return Remedy::ByHand(format!(
                "bpf-linker {LINKER_VERSION} knows LLVM {} to {}, the compiler has {}: set SPLITTER_BPF_LINKER to one \
                 that can, or SPLITTER_BPF_RUSTC and SPLITTER_BPF_CARGO to another compiler",
                LINKER_LLVM.start(),
                LINKER_LLVM.end(),
                c.llvm
            ));
        }
        Some(c) => match &c.llvm_library {
            Some(library) => (format!("llvm-{}", c.llvm), library.display().to_string()),
            None => {
                return Remedy::ByHand(format!(
                    "install the shared library of LLVM {0} (Debian: libllvm{0}); none was found beside {1}",
                    c.llvm,
                    c.rustc.display()
                ));
            }
        },
        // Only shown, never run: the compiler comes first, and then its version is known.
        None => (
            r"llvm-$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')".into(),
            "$(ls /usr/lib/*/libLLVM.so.[0-9]* | sort -V | tail -n 1)".into(),
        ),
    };
    let name = compiler
        .and_then(|c| c.llvm_library.as_deref())
        .and_then(Path::file_name)
        .map(PathBuf::from);
    let mut commands = vec![Line::new([
        "mkdir".into(),
        "-p".into(),
        llvm_folder.display().to_string(),
    ])];
    for link in [Some(PathBuf::from("libLLVM.so")), name]
        .into_iter()
        .flatten()
    {
        let at = llvm_folder.join(link).display().to_string();
        commands.push(Line::new(["ln".into(), "-sfn".into(), library.clone(), at]));
    }
    let install = ["cargo", "install", "bpf-linker", "--version"];
    commands.push(
        Line::new(install)
            .args([LINKER_VERSION, "--locked", "--force", "--quiet"])
            .args(["--profile", "dev"])
            .args(["--no-default-features", "--features"])
            .args([feature, "--root".to_owned(), tools.display().to_string()])
            .env("LLVM_PREFIX", tools.join("llvm").display().to_string()),
    );
    Remedy::Commands(commands)
}

fn bpf_clippy(facts: &Facts) -> Need {
    let state = match chosen(facts) {
        Some(Compiler {
            clippy: Some(path), ..
        }) => State::Met(path.display().to_string()),
        Some(c) if c.origin == Origin::Rustup => {
            return component("clippy for BPF", "clippy", facts.clippy);
        }
        Some(c) if c.origin == Origin::Environment => State::Missing(
            format!("no cargo-clippy beside {}", c.cargo.display()),
            Remedy::ByHand(
                "let SPLITTER_BPF_CARGO be the full path of a cargo with cargo-clippy beside it"
                    .into(),
            ),
        ),
        Some(_) => State::Missing("none found".into(), from_apt(facts, DEBIAN_PACKAGES[2])),
        None => State::Missing(
            "it comes with the BPF compiler".into(),
            Remedy::Commands(Vec::new()),
        ),
    };
    Need {
        name: "clippy for BPF",
        state,
    }
}

/// One package, whatever apt knows of others.
fn from_apt(facts: &Facts, package: &'static str) -> Remedy {
    let install = apt_install([package]);
    Remedy::Commands(match facts.apt {
        Apt::NoLists => vec![apt_update(), install],
        _ => vec![install],
    })
}

/// The lab's own tests use plain routing to show that links and servers are as they should be.
fn ip(facts: &Facts) -> Need {
    let state = if facts.ip {
        State::Met("there".into())
    } else if facts.apt == Apt::Absent {
        let what = "install the `ip` command (package iproute2)";
        State::Missing("not found".into(), Remedy::ByHand(what.into()))
    } else {
        State::Missing("not found".into(), from_apt(facts, "iproute2"))
    };
    Need { name: "ip", state }
}

fn component(name: &'static str, component: &str, there: bool) -> Need {
    let state = if there {
        State::Met("there".into())
    } else {
        State::Missing(
            "not installed".into(),
            Remedy::Commands(vec![rustup_add(component)]),
        )
    };
    Need { name, state }
}

#[cfg(test)]
#[path = "needs_tests.rs"]
mod tests;
