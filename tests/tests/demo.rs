//! The demo runs, and it can fail: servers that misbehave make it say so and end with 1.

use std::process::{Command, Output};

use anyhow::Result;

fn demo(arguments: &[&str], fault: Option<&str>) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .arg("--fast")
        .args(arguments)
        .env_remove("SPLITTER_DEMO_FAULT");
    if let Some(fault) = fault {
        command.env("SPLITTER_DEMO_FAULT", fault);
    }
    Ok(command.output()?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn keeps_its_promises(mode: &str) -> Result<()> {
    let output = demo(&["--mode", mode], None)?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("Not one established flow broke"), "{said}");
    for command in [
        "splitter weight web blue=90 green=10",
        "splitter cutover web green",
        "kill -9 ",
        "splitter check",
    ] {
        assert!(
            said.contains(&format!("$ {command}")),
            "it does not show {command:?}: {said}"
        );
    }
    Ok(())
}

#[test]
fn it_keeps_its_promises_with_dsr() -> Result<()> {
    keeps_its_promises("dsr")
}

#[test]
fn it_keeps_its_promises_with_nat() -> Result<()> {
    keeps_its_promises("nat")
}

fn fails(fault: &str, because: &str) -> Result<()> {
    let output = demo(&[], Some(fault))?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("A PROMISE WAS BROKEN") && said.contains(because),
        "{said}"
    );
    Ok(())
}

#[test]
fn it_fails_if_a_connection_is_answered_by_another_backend() -> Result<()> {
    fails("moved", "moved to green")
}

#[test]
fn it_fails_if_a_connection_is_reset() -> Result<()> {
    fails("reset", "(answered first by blue-")
}

#[test]
fn it_fails_if_shares_are_not_as_set() -> Result<()> {
    fails("share", "OFF: more than 4 standard deviations")
}
