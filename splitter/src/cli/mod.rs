//! The command line. One file per noun; this one holds the arguments that all share, and the way to the commands.

mod change;
mod check;
mod completion;
mod cutover;
mod detach;
mod explain;
mod failure;
mod flows;
mod format;
mod man;
mod notify;
mod output;
mod places;
mod route;
mod run;
mod service;
mod services;

mod stats;
mod table;
mod watch;
mod weight;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::api::client::Client;
use failure::Failure;
use output::Output;

/// Where the configuration is if nothing else is said.
const DEFAULT_CONFIG: &str = "/etc/splitter/splitter.toml";

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed or refused, 2 wrong usage or invalid configuration, \
3 daemon unreachable, 4 timed out.";

/// Ships a new version of a network service with nobody noticing: new flows follow the weights, established ones stay.
#[derive(Debug, Parser)]
#[command(name = "splitter", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// How to print what is asked for, and errors.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: output::Format,
    /// The daemon's socket [default: the configuration's, else /run/splitter/splitter.sock].
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SPLITTER_SOCKET",
        hide_env_values = true
    )]
    socket: Option<PathBuf>,
    /// The configuration file [default: /etc/splitter/splitter.toml].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SPLITTER_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
}

impl Global {
    /// The configuration file.
    fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    /// The way to the daemon.
    fn client(&self) -> Result<Client, Failure> {
        places::socket(self).map(Client::new)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon, in the foreground.
    Run(run::Arguments),
    /// Validates a configuration.
    Check(check::Arguments),
    /// Shows services.
    #[command(subcommand)]
    Get(Get),
    /// Sets the weights of a service's versions: their shares of new flows.
    Weight(weight::Arguments),
    /// Gives all new flows to one version.
    Cutover(cutover::Arguments),
    /// Gives groups of clients a version whatever the weights.
    #[command(subcommand)]
    Route(route::Commands),
    /// Says where a client's flow goes, and why.
    Explain(explain::Arguments),
    /// Lists the flow records of a service.
    Flows(flows::Arguments),
    /// Shows what became of every packet.
    Stats(stats::Arguments),
    /// Takes the program off the interfaces and removes all pins; traffic is no longer steered.
    Detach(detach::Arguments),
    /// Prints a completion script for a shell.
    Completion(completion::Arguments),
    /// Prints the man page of splitter, or of one of its commands.
    Man(man::Arguments),
}

#[derive(Debug, Subcommand)]
enum Get {
    /// All services, one line each.
    Services(services::Arguments),
    /// One service: versions, weights, backends, flows, transition.
    Service(service::Arguments),
}

/// The command line as clap knows it, for documentation and its tests.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the command line says; the exit code is the one that DESIGN §9 and `--help` name.
pub fn main() -> ExitCode {
    execute(std::env::args_os())
}

fn execute(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(said) => {
            // Help and version are no errors; that nobody reads them any more is none, either.
            let _ = said.print();
            return ExitCode::from(if said.use_stderr() { 2 } else { 0 });
        }
    };
    let mut out = Output::new(arguments.global.output);
    match dispatch(&arguments, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Run(it) => run::run(it, global),
        Command::Check(it) => check::run(it, global, out),
        Command::Get(Get::Services(it)) => block_on(services::run(it, global, out)),
        Command::Get(Get::Service(it)) => block_on(service::run(it, global, out)),
        Command::Weight(it) => block_on(weight::run(it, global, out)),
        Command::Cutover(it) => block_on(cutover::run(it, global, out)),
        Command::Route(it) => block_on(route::run(it, global, out)),
        Command::Explain(it) => block_on(explain::run(it, global, out)),
        Command::Flows(it) => block_on(flows::run(it, global, out)),
        Command::Stats(it) => block_on(stats::run(it, global, out)),
        Command::Detach(it) => detach::run(it, global, out),
        Command::Completion(it) => completion::run(it, out),
        Command::Man(it) => man::run(it, out),
    }
}

/// Runs what asks the daemon; one thread is enough for that.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|e| Failure::runtime(&e))?;
    runtime.block_on(work)
}
