//! `splitter completion SHELL`.

use clap_complete::Shell;

use super::failure::Failure;
use super::output::Output;

/// What `completion` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(it: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(it.shell, &mut super::command(), "splitter", &mut script);
    out.bytes(&script)
}
