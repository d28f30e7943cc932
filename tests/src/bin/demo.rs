//! `cargo xtask demo`: real traffic moves from blue to green, and not one connection breaks.

use std::process::ExitCode;

use clap::Parser;
use splitter_tests::demo::{self, Options};

fn main() -> ExitCode {
    match demo::run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
