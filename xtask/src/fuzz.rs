//! fuzz: libFuzzer over the packet path.

use anyhow::{Context, Result};
use std::path::Path;

use crate::process::{Line, Tree};
use crate::setup;
use crate::steps::Steps;

/// The targets, in `tests/fuzz/src`.
pub(crate) const TARGETS: [&str; 2] = ["parse", "steer"];

/// What makes the compiler tell libFuzzer which code an input reached. No sanitizer: what is fuzzed has no `unsafe`, and
/// these flags need no unstable feature.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The longest input: sixteen frames' worth.
const LONGEST: u32 = 4096;

/// `cargo xtask fuzz`: each target, or one, for so many seconds.
pub(crate) fn run(
    tree: &Tree,
    steps: &mut Steps,
    may_install: bool,
    target: Option<&str>,
    seconds: u32,
) -> Result<()> {
    // The command line has let only names of targets through.
    let chosen = target.map_or(TARGETS.to_vec(), |name| vec![name]);
    setup::run(tree, steps, may_install)?;
    let host = host()?;
    let folder = tree.target.join("fuzz");
    steps.step("build", || build(&folder, &host).run(&tree.root))?;
    for name in chosen {
        let corpus = folder.join("corpus").join(name);
        let found = folder.join("found").join(name);
        for made in [&corpus, &found] {
            std::fs::create_dir_all(made).with_context(|| made.display().to_string())?;
        }
        let binary = folder.join(&host).join("release").join(name);
        let line = fuzz(&binary, &corpus, &found, tree, name, seconds);
        steps.step(&format!("fuzz {name}"), || line.run(&tree.root))
            .with_context(|| {
                format!(
                    "an input failed: it is in {}. Once it is understood, keep it in tests/data/fuzz/{name}",
                    found.display()
                )
            })?;
    }
    Ok(())
}

/// With `--target`, the flags are for what is fuzzed, not for build scripts.
fn build(folder: &Path, host: &str) -> Line {
    Line::new(["cargo", "build", "--release", "--target", host])
        .args(["--manifest-path", "tests/fuzz/Cargo.toml", "--target-dir"])
        .args([folder.display().to_string()])
        .env("RUSTFLAGS", COVERAGE)
}

/// New inputs go to the first folder; those of the tests are where it begins.
fn fuzz(binary: &Path, corpus: &Path, found: &Path, tree: &Tree, name: &str, seconds: u32) -> Line {
    let kept = tree.root.join("tests/data/fuzz").join(name);
    Line::new([binary, corpus, &kept].map(|path| path.display().to_string())).args([
        format!("-artifact_prefix={}/", found.display()),
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST}"),
        "-print_final_stats=1".to_owned(),
    ])
}

/// The triple of this machine.
fn host() -> Result<String> {
    let told = Line::new(["rustc", "-vV"])
        .ask()
        .context("cannot run `rustc -vV`")?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_program_and_its_inputs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in TARGETS {
            assert!(root.join(format!("tests/fuzz/src/{name}.rs")).is_file());
            assert!(root.join("tests/data/fuzz").join(name).is_dir());
        }
    }

    #[test]
    fn only_what_is_fuzzed_is_instrumented() {
        let line = build(Path::new("/src/target/fuzz"), "x86_64-unknown-linux-gnu").show();
        assert!(
            line.contains("sancov-module") && line.contains("--target x86_64"),
            "{line}"
        );
        assert!(!line.contains("RUSTC_BOOTSTRAP"), "{line}");
    }
}
