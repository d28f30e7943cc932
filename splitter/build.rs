//! Builds the BPF programs and puts the object where `object.rs` embeds it.
//!
//! The BPF target needs a compiler that has `core` for it: Debian's brings it ready made
//! (`libstd-rust-web-dev-bpf`), rustup's can make it from `rust-src`. Both are asked to accept unstable features
//! (`RUSTC_BOOTSTRAP`), for this one build. What it makes stays in one folder for all profiles and for clippy.

use std::env::{self, VarError};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "bpfel-unknown-none";
const CRATE: &str = "splitter-ebpf";
const SETUP: &str = "run `cargo xtask setup`, which gets it";

/// A compiler and whether `core` must be built first.
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    build_core: bool,
}

fn main() {
    if let Err(error) = build() {
        println!("cargo::error={error}");
    }
}

fn build() -> Result<(), String> {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .map(Path::to_path_buf)
        .ok_or("the workspace is not above this package")?;
    let target = workspace.join(env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into()));
    for source in [
        "Cargo.toml",
        "Cargo.lock",
        "splitter-ebpf",
        "splitter-common/Cargo.toml",
        "splitter-common/src",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    for name in [
        "CARGO_TARGET_DIR",
        "SPLITTER_BPF_CARGO",
        "SPLITTER_BPF_RUSTC",
        "SPLITTER_BPF_LINKER",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let linker = linker(&workspace)?;
    println!("cargo::rerun-if-changed={}", linker.display());
    let compiler = compiler()?;
    let folder = target.join("bpf");
    // 0x1f is what cargo separates these flags with, so that a path may hold a space.
    let flags = [
        "-Ctarget-cpu=v3",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        &format!("-Clinker={}", linker.display()),
    ]
    .join("\x1f");

    let mut command = Command::new(&compiler.cargo);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_the_outer_build) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(&workspace)
        .env("RUSTC", &compiler.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .args(["build", "--release", "--locked", "--package", CRATE])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&folder);
    if compiler.build_core {
        command.args(["-Z", "build-std=core"]);
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot run {}: {error}", compiler.cargo.display()))?;
    if !status.success() {
        return Err(format!(
            "the BPF programs do not build ({status}); the compiler's messages are above"
        ));
    }

    let object = folder.join(TARGET).join("release").join(CRATE);
    let embedded = PathBuf::from(variable("OUT_DIR")?).join(CRATE);
    std::fs::copy(&object, &embedded)
        .map(drop)
        .map_err(|error| format!("cannot copy {}: {error}", object.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error: VarError| format!("{name}: {error}"))
}

/// Variables that cargo sets for this build, or the user for user space, and that must not reach the other compiler.
fn is_of_the_outer_build(name: &str) -> bool {
    const NAMES: [&str; 4] = ["CARGO", "CARGO_INCREMENTAL", "LD_LIBRARY_PATH", "TARGET"];
    const PREFIXES: [&str; 9] = [
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_ENCODED_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "RUST",
    ];
    const KEPT: [&str; 2] = ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    !KEPT.contains(&name)
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// The compiler that the environment names, else the first that can do it.
fn compiler() -> Result<Compiler, String> {
    let named = (
        env::var_os("SPLITTER_BPF_CARGO"),
        env::var_os("SPLITTER_BPF_RUSTC"),
    );
    let candidates: Vec<(PathBuf, PathBuf)> = match named {
        (Some(cargo), Some(rustc)) => vec![(cargo.into(), rustc.into())],
        (None, None) => vec![
            ("/usr/bin/cargo".into(), "/usr/bin/rustc".into()),
            (variable("CARGO")?.into(), variable("RUSTC")?.into()),
        ],
        _ => return Err("set both SPLITTER_BPF_CARGO and SPLITTER_BPF_RUSTC, or neither".into()),
    };
    for (cargo, rustc) in candidates {
        let Some(sysroot) = sysroot(&rustc) else {
            continue;
        };
        if !is_new_enough(&rustc) {
            continue;
        }
        let libraries = sysroot.join("lib/rustlib");
        let ready = libraries.join(TARGET).is_dir();
        if ready || libraries.join("src/rust/library/core").is_dir() {
            return Ok(Compiler {
                cargo,
                rustc,
                build_core: !ready,
            });
        }
    }
    Err(format!(
        "no Rust compiler for {TARGET} that is new enough: {SETUP}"
    ))
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .env_remove("LD_LIBRARY_PATH")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim().into())
}

/// Whether it is as new as the workspace's `rust-version` asks.
fn is_new_enough(rustc: &Path) -> bool {
    let minor = |version: &str| version.split('.').nth(1)?.parse::<u32>().ok();
    let least = env::var("CARGO_PKG_RUST_VERSION").ok();
    Command::new(rustc)
        .env_remove("LD_LIBRARY_PATH")
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| minor(text.split_whitespace().nth(1)?))
        >= least.as_deref().and_then(minor)
}

/// The linker that the environment names, else the one that `cargo xtask setup` made, else one on the path.
fn linker(workspace: &Path) -> Result<PathBuf, String> {
    const NAME: &str = "bpf-linker";
    if let Some(path) = env::var_os("SPLITTER_BPF_LINKER") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("SPLITTER_BPF_LINKER: no file {}", path.display()))
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(workspace.join("target/tools/bin"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("no {NAME}: {SETUP}"))
}
