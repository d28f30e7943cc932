//! The README as a newcomer follows it: its configuration, and its commands in their order, on a host as it describes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitter_tests::clients::Client;
use splitter_tests::lab::{
    Config, Family, Lab, Process, Splitter, Topology, now_ns, splitter_binary, wait_for,
};
use splitter_tests::servers::Servers;

const PATIENCE: Duration = Duration::from_secs(30);

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(path).expect("a README")
}

/// Fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|after| after.split("\n```").next())
        .collect()
}

/// Commands of `splitter` in their order, without comments.
fn commands(text: &str) -> Vec<Vec<&str>> {
    blocks(text, "sh")
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.split('#').next()?.strip_prefix("splitter "))
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// The README's configuration with the addresses of the lab, and with files and pins where the lab wants them.
fn configuration(lab: &Lab) -> Result<String> {
    let readme = readme();
    let toml = blocks(&readme, "toml");
    ensure!(toml.len() == 1, "{} configurations", toml.len());
    let backend = |name| lab.backend_address(name, Family::V4).port().to_string();
    let folder = lab.folder();
    let places = format!(
        "[daemon]\nsocket = {:?}\nstate_dir = {:?}\nbpffs = {:?}",
        folder.join("splitter.sock"),
        folder.join("state"),
        lab.bpffs()
    );
    Ok(toml[0]
        .replace("192.0.2.10", &lab.vip(Family::V4).to_string())
        .replace("8001", &backend("blue-1"))
        .replace("8002", &backend("green-1"))
        .replace("[daemon]", &places))
}

#[test]
fn the_command_line_takes_every_command() {
    let readme = readme();
    let commands = commands(&readme);
    assert!(commands.len() > 10, "only {commands:?}");
    for command in commands {
        let line = std::iter::once("splitter").chain(command.iter().copied());
        if let Err(error) = splitter::cli::command().try_get_matches_from(line) {
            panic!("splitter {}: {error}", command.join(" "));
        }
    }
}

#[test]
fn every_command_works_in_its_order_and_traffic_follows() -> Result<()> {
    let lab = Lab::new(Topology::NatLocal)?;
    let _servers = Servers::start(&lab, None)?;
    let mut splitter = Splitter::prepare(&lab, &Config::web(&lab, Family::V4))?;
    std::fs::write(splitter.config(), configuration(&lab)?)?;
    let config = splitter.config();
    let config = ["--config", config.to_str().context("a path in UTF-8")?];

    let readme = readme();
    let mut requests = None;
    for command in commands(&readme) {
        let shown = command.join(" ");
        if command == ["run"] {
            splitter.run()?;
            let client = Client::request(&lab, Family::V4, 50)?;
            served_by(&client, "blue-1").with_context(|| shown.clone())?;
            requests = Some(client);
            continue;
        }
        if command.contains(&"-w") {
            watch(&lab, &config, &command)?;
            continue;
        }
        let output = splitter.command_with(&config, &command)?;
        ensure!(output.code == Some(0), "splitter {shown}: {output:?}");
        ensure!(!output.stdout.is_empty(), "splitter {shown} says nothing");
        if let ["cutover", "web", version] = command[..] {
            let client = requests.as_ref().context("`run` comes first")?;
            served_by(client, &format!("{version}-1")).with_context(|| shown)?;
        }
    }
    let requests = requests.context("no `run`")?.finish()?;
    let failed: Vec<_> = requests
        .answers
        .iter()
        .filter(|a| a.backend.is_err())
        .collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

/// Waits until requests that begin now are answered by `backend`, ten in a row.
fn served_by(client: &Client, backend: &str) -> Result<()> {
    let mut from = now_ns();
    wait_for(
        &format!("{backend} to get new connections"),
        PATIENCE,
        || {
            let answers = client.answers_between(from, u64::MAX);
            if let Some(other) = answers.iter().rfind(|a| !a.is_from(backend)) {
                from = other.at + 1;
            }
            Ok((answers.iter().filter(|a| a.at >= from).count() >= 10).then_some(()))
        },
    )
}

/// A command that goes on until Ctrl-C: it says something, and ends well.
fn watch(lab: &Lab, config: &[&str], command: &[&str]) -> Result<()> {
    let path = lab.folder().join("watched");
    let mut process = Process::new(
        lab.spawn_on_edge(
            Command::new(splitter_binary()?)
                .args(config)
                .args(command)
                .stdin(Stdio::null())
                .stdout(std::fs::File::create(&path)?),
        )?,
    );
    wait_for("something to watch", PATIENCE, || {
        Ok(std::fs::read_to_string(&path)?
            .contains("green")
            .then_some(()))
    })?;
    kill(Pid::from_raw(process.pid() as i32), Signal::SIGINT)?;
    let status = wait_for("the command to end", PATIENCE, || {
        Ok(process.child().try_wait()?)
    })?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
