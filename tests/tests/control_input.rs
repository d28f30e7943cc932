//! Bad input changes nothing: broken configurations and refused commands at a running daemon.
//!
//! Each earns one error that says where, what was found and what was expected; the daemon, its answers, its pins and
//! its links stay as they were.

use std::path::Path;

use anyhow::{Context, Result};
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology};

#[path = "control_input/broken.rs"]
mod broken;

use broken::{BROKEN, Broken, SOUND};

const REFUSED: &[(&[&str], i32)] = &[
    (&["weight", "web", "blue=90", "green=20"], 2),
    (&["weight", "web", "blue=90"], 2),
    (&["weight", "web", "blue=90", "green"], 2),
    (&["weight", "web", "blue=ninety", "green=10"], 2),
    (&["weight", "web", "blue=99.999", "green=0.001"], 2),
    (&["weight", "web", "blue=110", "green=-10"], 2),
    (&["weight", "web", "blue=50", "blue=50"], 2),
    (&["weight", "web", "blue=50", "red=50"], 2),
    (&["weight", "web"], 2),
    (&["weight", "shop", "blue=50", "green=50"], 2),
    (&["weight", "web", "blue=NaN", "green=10"], 2),
    (&["cutover", "web", "red"], 2),
    (&["cutover", "shop", "green"], 2),
    (&["cutover", "web"], 2),
    (&["get", "service", "shop"], 2),
    (&["flows", "shop"], 2),
    (&["explain", "web", "--client", "not-an-address"], 2),
    (&["explain", "shop", "--client", "192.0.2.10:4000"], 2),
    (&["no-such-command"], 2),
    (&["get", "services", "--no-such-option"], 2),
    (&["get", "services", "-o", "xml"], 2),
];

/// All that bad input must leave alone.
#[derive(Debug, PartialEq)]
struct State {
    services: String,
    links: Vec<(u32, u32)>,
    pid: u32,
    pins: Vec<String>,
}

fn state(lab: &Lab, splitter: &Splitter) -> Result<State> {
    let daemon = splitter.stats()?.daemon;
    let bpffs = lab.bpffs();
    Ok(State {
        services: splitter.ok(&["get", "services", "-o", "json"])?,
        links: daemon
            .interfaces
            .iter()
            .map(|i| (i.link_id, i.program_id))
            .collect(),
        pid: daemon.pid,
        pins: lab.edge.run(|| pins(&bpffs))?,
    })
}

fn pins(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            found.push(path.display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn text(template: &str, lab: &Lab) -> Result<String> {
    let folder = lab
        .folder()
        .to_str()
        .context("the folder for temporary files is not UTF-8")?;
    let bpffs = lab.bpffs();
    let bpffs = bpffs.to_str().context("the BPF folder is not UTF-8")?;
    Ok(template.replace("FOLDER", folder).replace("BPFFS", bpffs))
}

#[test]
fn each_broken_configuration_earns_one_error() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::prepare(&lab, &Config::web(&lab, Family::V4))?;
    let file = lab.folder().join("broken.toml");
    let path = file
        .to_str()
        .context("the folder for temporary files is not UTF-8")?;
    std::fs::write(&file, text(SOUND, &lab)?)?;
    let sound = splitter.command(&["check", path])?;
    assert_eq!(
        sound.code,
        Some(0),
        "what is to be broken is not sound: {sound:?}"
    );
    try_all_broken(&lab, &splitter, &["check"])
}

#[test]
fn broken_configurations_leave_the_daemon_alone() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::start(
        &lab,
        &Config::web(&lab, Family::V4).with_timers("500ms", "1s"),
    )?;
    splitter.green("web", 12.5)?;
    let before = settled(&lab, &splitter)?;
    try_all_broken(&lab, &splitter, &["run", "--config"])?;
    assert_eq!(state(&lab, &splitter)?, before);
    Ok(())
}

fn try_all_broken(lab: &Lab, splitter: &Splitter, command: &[&str]) -> Result<()> {
    let file = lab.folder().join("broken.toml");
    let path = file
        .to_str()
        .context("the folder for temporary files is not UTF-8")?;
    assert!(BROKEN.len() >= 30);
    let mut faults = Vec::new();
    for case in BROKEN {
        assert_eq!(
            SOUND.matches(case.find).count(),
            1,
            "{}: {:?} is not there once",
            case.what,
            case.find
        );
        std::fs::write(&file, text(&SOUND.replace(case.find, case.replace), lab)?)?;
        let output = splitter.command(&[command, &[path]].concat())?;
        if let Err(fault) = judge(case, path, output.code, &output.stderr) {
            faults.push(format!("{}: {fault}", case.what));
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    Ok(())
}

/// One line that begins with file, line and column, names the key and says what was found and expected; code 2.
fn judge(case: &Broken, path: &str, code: Option<i32>, stderr: &str) -> Result<(), String> {
    let said = || format!("code {code:?}, said {stderr:?}");
    if code != Some(2) {
        return Err(format!("expected exit code 2: {}", said()));
    }
    let lines: Vec<&str> = stderr.lines().filter(|l| !l.trim().is_empty()).collect();
    let [line] = lines[..] else {
        return Err(format!("expected one line: {}", said()));
    };
    let place = line
        .split_once(path)
        .and_then(|(_, rest)| rest.strip_prefix(':'))
        .unwrap_or_default();
    let mut numbers = place.split(':').map(|n| n.trim().parse::<usize>());
    let (Some(Ok(1..)), Some(Ok(1..))) = (numbers.next(), numbers.next()) else {
        return Err(format!("expected {path}:LINE:COLUMN: {}", said()));
    };
    match case
        .says
        .iter()
        .chain(&["found", "expected"])
        .find(|word| !line.contains(**word))
    {
        Some(word) => Err(format!("expected {word:?} in it: {}", said())),
        None => Ok(()),
    }
}

/// The state once `prepare` has passed: what a change does by itself is no doing of the bad input.
fn settled(lab: &Lab, splitter: &Splitter) -> Result<State> {
    let rest = std::time::Duration::from_secs(60);
    splitter_tests::lab::wait_for("the transition to settle", rest, || {
        Ok(splitter.service("web")?.transition.is_none().then_some(()))
    })?;
    state(lab, splitter)
}

#[test]
fn refused_commands_leave_the_daemon_alone() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::start(
        &lab,
        &Config::web(&lab, Family::V4).with_timers("500ms", "1s"),
    )?;
    splitter.green("web", 12.5)?;
    let before = settled(&lab, &splitter)?;
    for (arguments, code) in REFUSED {
        let output = splitter.command(arguments)?;
        assert_eq!(output.code, Some(*code), "{arguments:?}: {output:?}");
        assert!(
            !output.stderr.trim().is_empty() && output.stdout.is_empty(),
            "{arguments:?}: {output:?}"
        );
        assert!(
            !output.stderr.contains("panicked"),
            "{arguments:?}: {output:?}"
        );
    }
    assert_eq!(state(&lab, &splitter)?, before);
    Ok(())
}

#[test]
fn a_dry_run_changes_nothing() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::start(&lab, &Config::web(&lab, Family::V4))?;
    let before = state(&lab, &splitter)?;
    for arguments in [
        ["weight", "web", "blue=40", "green=60", "--dry-run"].as_slice(),
        &["cutover", "web", "green", "--dry-run"],
    ] {
        splitter.ok(arguments)?;
    }
    assert_eq!(state(&lab, &splitter)?, before);
    Ok(())
}

#[test]
fn without_a_daemon_commands_end_with_3() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::prepare(&lab, &Config::web(&lab, Family::V4))?;
    for arguments in [
        ["get", "services"].as_slice(),
        &["weight", "web", "blue=40", "green=60"],
        &["stats"],
    ] {
        let output = splitter.command(arguments)?;
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(!output.stderr.is_empty(), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_second_daemon_is_refused_and_told_who_owns_the_pins() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let splitter = Splitter::start(&lab, &Config::web(&lab, Family::V4))?;
    let before = state(&lab, &splitter)?;
    let file = lab.folder().join("second.toml");
    std::fs::write(&file, text(SOUND, &lab)?)?;
    let path = file
        .to_str()
        .context("the folder for temporary files is not UTF-8")?;
    let output = splitter.command(&["run", "--config", path])?;
    assert_eq!(output.code, Some(1), "{output:?}");
    let pid = splitter.pid().context("no daemon runs")?.to_string();
    assert!(
        output.stderr.contains(&pid),
        "it does not name process {pid}: {output:?}"
    );
    assert_eq!(state(&lab, &splitter)?, before);
    Ok(())
}
