//! The demo runs, and it can fail: servers that misbehave make it say so and end with 1.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use splitter_tests::alone;
use splitter_tests::lab::{Process, die_with_this_thread, wait_for};

/// Exit code, and all that it said.
fn demo(arguments: &[&str], fault: Option<&str>) -> Result<(Option<i32>, String)> {
    let _alone = alone();
    let mut output = tempfile::tempfile()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .arg("--fast")
        .args(arguments)
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .env_remove("SPLITTER_DEMO_FAULT");
    if let Some(fault) = fault {
        command.env("SPLITTER_DEMO_FAULT", fault);
    }
    die_with_this_thread(&mut command);
    let mut process = Process::new(command.spawn()?);
    let status = wait_for("the demo to end", Duration::from_secs(300), || {
        Ok(process.child().try_wait()?)
    });
    let said = said(&mut output)?;
    let status = status.with_context(|| said.clone())?;
    Ok((status.code(), said))
}

fn said(output: &mut File) -> Result<String> {
    output.rewind()?;
    let mut said = Vec::new();
    output.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn keeps_its_promises(mode: &str) -> Result<()> {
    let (code, said) = demo(&["--mode", mode], None)?;
    assert_eq!(code, Some(0), "{said}");
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

/// Gives what it said.
fn fails(fault: &str, because: &str) -> Result<String> {
    let (code, said) = demo(&[], Some(fault))?;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("A PROMISE WAS BROKEN") && said.contains(because),
        "{said}"
    );
    Ok(said)
}

#[test]
fn it_fails_if_a_connection_is_answered_by_another_backend() -> Result<()> {
    fails("moved", "moved to green").map(drop)
}

#[test]
fn it_fails_if_a_connection_is_reset() -> Result<()> {
    fails("reset", "(answered first by blue-").map(drop)
}

#[test]
fn it_fails_if_shares_are_not_as_set() -> Result<()> {
    let said = fails("share", "OFF: more than 4 standard deviations")?;
    // Ten percent and half; where all or nothing was set, there is no chance that a second look could exclude.
    assert_eq!(said.matches("measured again").count(), 2, "{said}");
    Ok(())
}
