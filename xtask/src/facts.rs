//! What is there on this machine. Looks, changes nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Line, Tree};

/// A compiler that can build the BPF crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Where it came from.
    pub(crate) origin: Origin,
    /// `rustc`.
    pub(crate) rustc: PathBuf,
    /// `cargo`.
    pub(crate) cargo: PathBuf,
    /// Minor version: 95 of 1.95.0.
    pub(crate) minor: u32,
    /// Major version of its LLVM.
    pub(crate) llvm: u32,
    /// The shared library of an LLVM of that version.
    pub(crate) llvm_library: Option<PathBuf>,
    /// Whether it brings a compiled `core` for BPF; else `core` is built from `rust-src`.
    pub(crate) prebuilt_core: bool,
    /// Whether it can build that target at all.
    pub(crate) has_core: bool,
    /// `cargo-clippy` beside it.
    pub(crate) clippy: Option<PathBuf>,
}

/// Where a compiler came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `SPLITTER_BPF_RUSTC` and `SPLITTER_BPF_CARGO`.
    Environment,
    /// Debian's packages.
    Debian,
    /// The toolchain that runs this program.
    Rustup,
}

/// What apt knows of the compiler's packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apt {
    /// There is no apt.
    Absent,
    /// It has no package lists.
    NoLists,
    /// It offers them, of this minor version of Rust.
    Offers(u32),
    /// It does not know them, or was not asked.
    Unknown,
}

/// A BPF linker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    /// Its path.
    pub(crate) path: PathBuf,
    /// What it calls itself; none where it does not run.
    pub(crate) version: Option<String>,
    /// Major version of its LLVM; none where that is not known, as for one from the environment.
    pub(crate) llvm: Option<u32>,
    /// Whether `SPLITTER_BPF_LINKER` names it.
    pub(crate) from_environment: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether we are root.
    pub(crate) root: bool,
    /// Kernel release, such as 6.18.
    pub(crate) kernel: (u32, u32),
    /// Compiler from the environment: an error where the variables are set but of no use.
    pub(crate) environment: Option<Result<Compiler, String>>,
    /// Debian's compiler.
    pub(crate) debian: Option<Compiler>,
    /// The compiler that runs this program.
    pub(crate) rustup: Option<Compiler>,
    /// What apt knows.
    pub(crate) apt: Apt,
    /// Whether apt's package lists were brought up to date today: what old lists say is not believed.
    pub(crate) lists_fresh: bool,
    /// Whether there is a `rustup` command.
    pub(crate) has_rustup: bool,
    /// Linker.
    pub(crate) linker: Option<Linker>,
    /// Whether `ip` runs.
    pub(crate) ip: bool,
    /// Whether `cargo fmt` runs.
    pub(crate) rustfmt: bool,
    /// Whether `cargo clippy` runs.
    pub(crate) clippy: bool,
    /// The folder for tools.
    pub(crate) tools: PathBuf,
}

const BPF_PACKAGE: &str = "libstd-rust-web-dev-bpf";

impl Facts {
    /// Looks at everything, side by side: each look starts a process or two.
    pub(crate) fn gather(tree: &Tree) -> Self {
        std::thread::scope(|scope| {
            let environment = scope.spawn(environment_compiler);
            let debian = scope.spawn(debian_compiler);
            let rustup = scope.spawn(|| compiler(Origin::Rustup, "rustc".into(), "cargo".into()));
            let linker = scope.spawn(|| linker(tree));
            let runs = |argv: &'static [&'static str]| {
                move || Line::new(argv.iter().copied()).ask().is_some()
            };
            let ip = scope.spawn(runs(&["ip", "-V"]));
            let rustfmt = scope.spawn(runs(&["cargo", "fmt", "--version"]));
            let clippy = scope.spawn(runs(&["cargo", "clippy", "--version"]));
            let has_rustup = scope.spawn(runs(&["rustup", "--version"]));
            let kernel = kernel();
            let root = Line::new(["id", "-u"])
                .ask()
                .is_some_and(|id| id.trim() == "0");
            let debian = join(debian);
            Self {
                root,
                kernel,
                environment: join(environment),
                apt: apt(debian.as_ref().is_some_and(|c| c.clippy.is_some())),
                lists_fresh: lists_fresh(),
                debian,
                rustup: join(rustup),
                has_rustup: join(has_rustup),
                linker: join(linker),
                ip: join(ip),
                rustfmt: join(rustfmt),
                clippy: join(clippy),
                tools: tree.tools.clone(),
            }
        })
    }
}

fn join<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    two_numbers(&release).unwrap_or_default()
}

fn environment_compiler() -> Option<Result<Compiler, String>> {
    let rustc = std::env::var_os("SPLITTER_BPF_RUSTC");
    let cargo = std::env::var_os("SPLITTER_BPF_CARGO");
    let (rustc, cargo) = match (rustc, cargo) {
        (None, None) => return None,
        (Some(rustc), Some(cargo)) => (PathBuf::from(rustc), PathBuf::from(cargo)),
        _ => {
            return Some(Err(
                "one of SPLITTER_BPF_RUSTC and SPLITTER_BPF_CARGO is set, the other is not".into(),
            ));
        }
    };
    let shown = rustc.display().to_string();
    Some(
        compiler(Origin::Environment, rustc, cargo)
            .ok_or_else(|| format!("`{shown} -vV` does not run or names no LLVM")),
    )
}

fn debian_compiler() -> Option<Compiler> {
    let (rustc, cargo) = (Path::new("/usr/bin/rustc"), Path::new("/usr/bin/cargo"));
    if !(rustc.exists() && cargo.exists()) {
        return None;
    }
    compiler(Origin::Debian, rustc.into(), cargo.into()).filter(|c| c.prebuilt_core)
}

fn compiler(origin: Origin, rustc: PathBuf, cargo: PathBuf) -> Option<Compiler> {
    let ask = |flag: &[&str]| {
        Line::new([rustc.display().to_string()])
            .args(flag.iter().copied())
            .ask()
    };
    let about = About::parse(&ask(&["-vV"])?)?;
    let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
    let prebuilt_core = sysroot.join("lib/rustlib/bpfel-unknown-none/lib").is_dir();
    let source = sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file();
    Some(Compiler {
        origin,
        llvm_library: llvm_library(&sysroot, about.llvm),
        minor: about.minor,
        llvm: about.llvm,
        prebuilt_core,
        has_core: prebuilt_core || source,
        clippy: Some(cargo.with_file_name("cargo-clippy"))
            .filter(|beside| cargo.is_absolute() && beside.exists()),
        rustc,
        cargo,
    })
}

/// What `rustc -vV` says.
#[derive(Debug, PartialEq, Eq)]
struct About {
    minor: u32,
    llvm: u32,
}

impl About {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let (_, minor) = two_numbers(field("release: ")?)?;
        let (llvm, _) = two_numbers(field("LLVM version: ")?)?;
        Some(Self { minor, llvm })
    }
}

/// `22.1.8` → (22, 1).
fn two_numbers(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// rustup keeps `libLLVM.so.22.1-rust-1.95.0-stable` in its sysroot, Debian `libLLVM.so.22.1` in its multiarch folder.
fn llvm_library(sysroot: &Path, llvm: u32) -> Option<PathBuf> {
    let prefix = format!("libLLVM.so.{llvm}.");
    let lib = sysroot.join("lib");
    let below = list(&lib)
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    std::iter::once(lib.clone())
        .chain(below)
        .find_map(|folder| {
            list(&folder).into_iter().find(|path| {
                path.file_name()
                    .and_then(OsStr::to_str)
                    .is_some_and(|name| name.starts_with(&prefix))
            })
        })
}

/// What is in a folder, in order of names; nothing where it cannot be read.
fn list(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
}

fn linker(tree: &Tree) -> Option<Linker> {
    let named = std::env::var_os("SPLITTER_BPF_LINKER").map(PathBuf::from);
    let from_environment = named.is_some();
    let path = named.unwrap_or_else(|| tree.tools.join("bin/bpf-linker"));
    if !from_environment && !path.exists() {
        return None;
    }
    let version = Line::new([path.display().to_string(), "--version".into()]).ask();
    // cargo itself keeps a record of the features that a tool was installed with.
    let llvm = std::fs::read_to_string(tree.tools.join(".crates2.json"))
        .ok()
        .filter(|_| !from_environment)
        .and_then(|record| installed_llvm(&record));
    Some(Linker {
        path,
        version: version.map(|text| text.trim().to_owned()),
        llvm,
        from_environment,
    })
}

fn installed_llvm(record: &str) -> Option<u32> {
    let (_, after) = record.split_once("\"llvm-")?;
    after.split('"').next()?.parse().ok()
}

/// apt takes longer than all the rest together; it is not asked what it offers where there is all that it could.
fn apt(complete: bool) -> Apt {
    if !(Path::new("/usr/bin/apt-get").exists() && Path::new("/etc/debian_version").exists()) {
        return Apt::Absent;
    }
    let has_lists = list(Path::new("/var/lib/apt/lists"))
        .iter()
        .any(|path| path.to_string_lossy().contains("_Packages"));
    if !has_lists {
        return Apt::NoLists;
    }
    if complete {
        return Apt::Unknown;
    }
    Line::new(["apt-cache", "policy", BPF_PACKAGE])
        .ask()
        .and_then(|policy| offered(&policy))
        .map_or(Apt::Unknown, Apt::Offers)
}

/// `apt-get update` touches these, also where nothing is new.
fn lists_fresh() -> bool {
    [
        "/var/lib/apt/lists",
        "/var/lib/apt/lists/partial",
        "/var/cache/apt/pkgcache.bin",
    ]
    .iter()
    .filter_map(|path| {
        std::fs::metadata(path)
            .ok()?
            .modified()
            .ok()?
            .elapsed()
            .ok()
    })
    .any(|age| age < Duration::from_secs(24 * 60 * 60))
}

/// Minor version of the candidate in `apt-cache policy`'s answer.
fn offered(policy: &str) -> Option<u32> {
    let candidate = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    two_numbers(candidate).map(|(_, minor)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_rustc_says() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
                    host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let about = About::parse(text);
        assert_eq!(
            about,
            Some(About {
                minor: 96,
                llvm: 22
            })
        );
        assert_eq!(
            About::parse("release: 1.95.0\n"),
            None,
            "no LLVM, no BPF compiler"
        );
        assert_eq!(two_numbers("6.18.3-amd64"), Some((6, 18)));
    }

    #[test]
    fn the_candidate_is_read_and_none_is_none() {
        let policy =
            "libstd-rust-web-dev-bpf:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(offered(policy), Some(96));
        let none = "libstd-rust-web-dev-bpf:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(offered(none), None);
        assert_eq!(offered(""), None);
    }

    #[test]
    fn the_linkers_llvm_is_read_from_cargos_record() {
        let record = r#"{"installs":{"bpf-linker 0.13.0 (x)":{"bins":["bpf-linker"],"features":["llvm-22"]}}}"#;
        assert_eq!(installed_llvm(record), Some(22));
        assert_eq!(installed_llvm("{}"), None);
    }
}
