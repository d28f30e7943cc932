//! build, lint, test, demo: which commands they run.

use anyhow::{Context, Result, bail};

use crate::facts::Compiler;
use crate::process::{Line, Tree};
use crate::setup;
use crate::steps::Steps;

/// `splitter-ebpf` is for the BPF target alone; on the host its features would unify with the others'.
const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "splitter-ebpf"];

/// Seed of every schedule that the suites draw, so that CI runs the same ones each time.
const SEED: &str = "1";

/// Variables that change what the suites do: they are for single tests run by hand.
const STRAY: &[&str] = &[
    "SPLITTER_BLESS",
    "SPLITTER_MUTANT",
    "SPLITTER_SCHEDULES",
    "SPLITTER_FRAMES",
    "SPLITTER_DEMO_FAULT",
];

/// `cargo xtask build`.
pub(crate) fn build(
    tree: &Tree,
    steps: &mut Steps,
    may_install: bool,
    release: bool,
) -> Result<()> {
    setup::run(tree, steps, may_install)?;
    let line = if release {
        cargo("build").args(["--release", "--package", "splitter"])
    } else {
        cargo("build").args(HOST_CRATES)
    };
    steps.step("build", || line.run(&tree.root))?;
    let folder = if release { "release" } else { "debug" };
    eprintln!(
        "\nbuilt {}",
        tree.target.join(folder).join("splitter").display()
    );
    Ok(())
}

/// `cargo xtask lint`.
pub(crate) fn lint(tree: &Tree, steps: &mut Steps, may_install: bool) -> Result<()> {
    let compiler = setup::run(tree, steps, may_install)?;
    lint_with(tree, steps, &compiler)
}

fn lint_with(tree: &Tree, steps: &mut Steps, compiler: &Compiler) -> Result<()> {
    steps.step("format", || {
        cargo("fmt").args(["--all", "--check"]).run(&tree.root)
    })?;
    let host = cargo("clippy")
        .args(HOST_CRATES)
        .args(["--all-targets", "--", "-D", "warnings"]);
    steps.step("clippy", || host.run(&tree.root))?;
    let bpf = bpf_clippy(tree, compiler);
    steps.step("clippy (BPF)", || bpf.run(&tree.root))
}

/// clippy of the BPF crate with the compiler that builds it, in a folder of its own: two compilers would throw out
/// each other's work.
fn bpf_clippy(tree: &Tree, compiler: &Compiler) -> Line {
    let line = match &compiler.clippy {
        Some(path) => Line::new([path.display().to_string(), "clippy".into()])
            .env("CARGO", compiler.cargo.display().to_string())
            .env("RUSTC", compiler.rustc.display().to_string()),
        None => cargo("clippy"),
    };
    // The unstable features that aya-ebpf uses are why this one build, and no other, asks for them.
    let line = line
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--package", "splitter-ebpf", "--release"])
        .args(["--target", "bpfel-unknown-none", "--target-dir"])
        .args([tree.target.join("bpf-lint").display().to_string()]);
    let line = if compiler.prebuilt_core {
        line
    } else {
        line.args(["-Z", "build-std=core"])
    };
    line.args(["--", "-D", "warnings"])
}

/// `cargo xtask test`.
pub(crate) fn test(
    tree: &Tree,
    steps: &mut Steps,
    may_install: bool,
    filter: Option<&str>,
) -> Result<()> {
    need_root("test", "makes network namespaces and loads BPF programs")?;
    let compiler = setup::run(tree, steps, may_install)?;
    lint_with(tree, steps, &compiler)?;
    steps.step("build", || {
        cargo("build").args(HOST_CRATES).run(&tree.root)?;
        cargo("test")
            .args(HOST_CRATES)
            .args(["--no-run"])
            .run(&tree.root)
    })?;
    if let Some(name) = filter {
        let listed = tests(tree, filter)
            .args(["--list"])
            .ask()
            .unwrap_or_default();
        if !listed.lines().any(|line| line.ends_with(": test")) {
            bail!("no test has a name that contains `{name}`");
        }
    }
    let line = tests(tree, filter);
    steps
        .step("test", || line.run(&tree.root))
        .with_context(|| {
            "tests failed; each failing binary is named above, one test alone runs again with \
             `cargo xtask test NAME`"
        })?;
    steps.step("figures", || figures().run(&tree.root))
}

/// What the verifier made of the programs, in figures: a passing test prints nothing of its own.
fn figures() -> Line {
    cargo("test").args(HOST_CRATES).args([
        "--quiet",
        "--test",
        "packet_cases",
        "--",
        "--nocapture",
        "verifier",
    ])
}

/// The test binaries run one after the other, as cargo does it: those that make namespaces with heavy traffic do not
/// disturb each other.
fn tests(tree: &Tree, filter: Option<&str>) -> Line {
    cargo("test")
        .args(HOST_CRATES)
        .args(["--no-fail-fast"])
        .args(filter.map(|name| ["--", name]).into_iter().flatten())
        .env("SPLITTER_BIN", binary(tree, "splitter"))
        .env("SPLITTER_SEED", SEED)
        .env("PROPTEST_RNG_SEED", SEED)
        .without(STRAY)
}

/// `cargo xtask demo`.
pub(crate) fn demo(
    tree: &Tree,
    steps: &mut Steps,
    may_install: bool,
    arguments: &[String],
) -> Result<()> {
    need_root("demo", "makes network namespaces and loads BPF programs")?;
    setup::run(tree, steps, may_install)?;
    // The same crates as in `build` and `test`: another choice would unify features anew and build the rest again.
    steps.step("build", || cargo("build").args(HOST_CRATES).run(&tree.root))?;
    let line = Line::new([binary(tree, "demo")])
        .args(arguments.iter().cloned())
        .env("SPLITTER_BIN", binary(tree, "splitter"));
    steps.step("demo", || line.run(&tree.root))
}

fn cargo(verb: &str) -> Line {
    Line::new(["cargo", verb])
}

fn binary(tree: &Tree, name: &str) -> String {
    tree.target.join("debug").join(name).display().to_string()
}

fn need_root(verb: &str, why: &str) -> Result<()> {
    match Line::new(["id", "-u"]).ask() {
        Some(id) if id.trim() == "0" => Ok(()),
        _ => bail!("`cargo xtask {verb}` {why}: run it as root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;

    fn tree() -> Tree {
        Tree {
            root: "/src".into(),
            target: "/src/target".into(),
            tools: "/src/target/tools".into(),
        }
    }

    #[test]
    fn tests_get_the_binary_and_fixed_seeds() {
        assert_eq!(
            tests(&tree(), Some("drain")).show(),
            "SPLITTER_BIN=/src/target/debug/splitter SPLITTER_SEED=1 PROPTEST_RNG_SEED=1 cargo test --workspace \
             --exclude splitter-ebpf --no-fail-fast -- drain"
        );
        assert!(tests(&tree(), None).show().ends_with("--no-fail-fast"));
    }

    #[test]
    fn core_is_built_for_the_lint_only_where_none_is_there() {
        let mut compiler = Compiler {
            origin: Origin::Debian,
            rustc: "/usr/bin/rustc".into(),
            cargo: "/usr/bin/cargo".into(),
            minor: 96,
            llvm: 22,
            llvm_library: None,
            prebuilt_core: true,
            has_core: true,
            clippy: Some("/usr/bin/cargo-clippy".into()),
        };
        let debian = bpf_clippy(&tree(), &compiler).show();
        assert!(debian.contains("/usr/bin/cargo-clippy clippy"), "{debian}");
        assert!(!debian.contains("build-std"), "{debian}");
        compiler.origin = Origin::Rustup;
        compiler.prebuilt_core = false;
        compiler.clippy = None;
        let rustup = bpf_clippy(&tree(), &compiler).show();
        assert!(rustup.contains("cargo clippy"), "{rustup}");
        assert!(rustup.contains("-Z build-std=core"), "{rustup}");
    }
}
