//! The project's own commands. `cargo xtask --help` lists them.

mod commands;
mod facts;
mod fuzz;
mod needs;
mod process;
mod setup;
mod steps;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use process::Tree;
use steps::Steps;

/// Sets up, builds, checks, tests and shows splitter.
///
/// Each command sets up what it needs first, so `cargo xtask demo` or `cargo xtask test` is the one thing to type
/// after a clone.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Finds or installs the compiler and linker for BPF, rustfmt and clippy
    ///
    /// Looks first, says what is missing and with which command it will be installed, installs it, and goes on.
    /// A second run finds everything and ends in less than a second. Shell configuration is never touched; what can
    /// be kept in `target/tools` is kept there.
    ///
    /// BPF compiler, in this order: SPLITTER_BPF_RUSTC and SPLITTER_BPF_CARGO from the environment; Debian's
    /// `cargo-web` and `libstd-rust-web-dev-bpf`; the `rust-src` component of rustup's stable toolchain.
    /// Linker: SPLITTER_BPF_LINKER from the environment, else `target/tools/bin/bpf-linker`.
    Setup(Install),
    /// Builds the packet path and everything else
    ///
    /// The BPF object is built by the build script of the `splitter` crate and embedded in the binary.
    Build(Build),
    /// Checks formatting and runs clippy; warnings are errors
    ///
    /// The BPF crate is linted on its own, with the compiler that builds it.
    Lint(Install),
    /// Formatting, lints and all tests: what CI runs
    ///
    /// Needs root: the tests make network namespaces and load BPF programs. They touch no interface of this host.
    Test(Test),
    /// Moves real traffic from blue to green while no connection breaks
    ///
    /// Client, edge host and four HTTP servers in network namespaces of their own, the real daemon and the real
    /// command line. Ends with exit code 1 if one established flow broke or a measured share is off. Needs root.
    Demo(Demo),
    /// Fuzzes the packet path with libFuzzer
    ///
    /// Each target, or one: `parse` is the parser, `steer` the whole steering function on worlds and sequences of frames.
    /// A failing input is kept in `target/fuzz/found`. Needs a C++ compiler, for libFuzzer itself.
    Fuzz(Fuzz),
}

/// Whether missing things may be installed.
#[derive(Args, Clone, Copy)]
struct Install {
    /// Install nothing: where something is missing, say which commands to type, and end with exit code 1
    #[arg(long)]
    no_install: bool,
}

#[derive(Args)]
struct Build {
    /// Only the daemon and the command line, optimised (the packet path always is)
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    install: Install,
}

#[derive(Args)]
struct Test {
    /// Run only the tests whose names contain this
    filter: Option<String>,
    #[command(flatten)]
    install: Install,
}

#[derive(Args)]
struct Demo {
    /// About 20 seconds instead of 60
    #[arg(long)]
    fast: bool,
    /// How packets get to the backends
    #[arg(long, value_enum)]
    mode: Option<DemoMode>,
    #[command(flatten)]
    install: Install,
}

#[derive(Args)]
struct Fuzz {
    /// The target
    #[arg(value_parser = fuzz::TARGETS)]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    #[command(flatten)]
    install: Install,
}

/// A forwarding mode that the demo can show.
#[derive(Clone, Copy, ValueEnum)]
enum DemoMode {
    /// New MAC addresses only; backends hold the VIP
    Dsr,
    /// New destination address and port
    Nat,
}

impl DemoMode {
    fn name(self) -> &'static str {
        match self {
            Self::Dsr => "dsr",
            Self::Nat => "nat",
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let tree = Tree::find();
    let mut steps = Steps::default();
    let outcome = match cli.verb {
        Verb::Setup(install) => setup::run(&tree, &mut steps, !install.no_install).map(drop),
        Verb::Build(build) => {
            commands::build(&tree, &mut steps, !build.install.no_install, build.release)
        }
        Verb::Lint(install) => commands::lint(&tree, &mut steps, !install.no_install),
        Verb::Test(test) => commands::test(
            &tree,
            &mut steps,
            !test.install.no_install,
            test.filter.as_deref(),
        ),
        Verb::Demo(demo) => {
            let mut arguments = Vec::new();
            if demo.fast {
                arguments.push("--fast".to_owned());
            }
            if let Some(mode) = demo.mode {
                arguments.extend(["--mode".to_owned(), mode.name().to_owned()]);
            }
            commands::demo(&tree, &mut steps, !demo.install.no_install, &arguments)
        }
        Verb::Fuzz(fuzz) => fuzz::run(
            &tree,
            &mut steps,
            !fuzz.install.no_install,
            fuzz.target.as_deref(),
            fuzz.seconds,
        ),
    };
    steps.print();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
