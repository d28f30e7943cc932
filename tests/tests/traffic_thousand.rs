//! A thousand connections, a thousand changes of weights, a dozen daemon kills, all under traffic: nothing breaks.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology};
use splitter_tests::servers::Servers;
use splitter_tests::sizes;
use splitter_tests::weights::{self, Random};

#[test]
fn a_thousand_connections_outlive_a_thousand_changes_and_a_dozen_kills() -> Result<()> {
    let family = Family::V4;
    let lab = Lab::new(Topology::Dsr)?;
    let _servers = Servers::start(&lab, None)?;
    // Slots come to rest and leave it again while connections are held; these speak every second.
    let config = Config::web(&lab, family).with_timers("300ms", "8s");
    let mut splitter = Splitter::start(&lab, &config)?;
    let (connections, changes) = (sizes::thousand(), sizes::thousand_changes());
    let kill_every = changes / sizes::thousand_kills();
    let every = Duration::from_secs(1);

    let first = Client::hold(&lab, family, connections / 2, every)?;
    splitter.green("web", 50.0)?;
    let requests = Client::request(&lab, family, 60)?;
    std::thread::sleep(Duration::from_millis(300));
    let second = Client::hold(&lab, family, connections - connections / 2, every)?;

    let mut random = Random(12);
    let mut kills = 0;
    for (number, percent) in weights::sequence("traffic_thousand")
        .take(changes)
        .enumerate()
    {
        if number % kill_every == kill_every - 1 {
            kill_while_changing(&mut splitter, percent, random.below(15))?;
            kills += 1;
        } else {
            splitter
                .green("web", percent)
                .with_context(|| format!("change {number}"))?;
        }
    }
    assert!(kills >= sizes::thousand_kills());
    std::thread::sleep(every * 3);

    let mut held = 0;
    for client in [first, second] {
        let client = client.finish()?;
        assert_eq!(
            (client.held.moved, client.held.broken),
            (0, 0),
            "{:?}\n{}",
            client.faults,
            splitter.log_tail()
        );
        held += client.held.open_to("");
    }
    assert_eq!(held as usize, connections);
    let requests = requests.finish()?;
    let failed: Vec<_> = requests
        .answers
        .iter()
        .filter(|a| a.backend.is_err())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    for version in ["blue", "green"] {
        assert!(
            requests.answers.iter().any(|a| a.is_from(version)),
            "{version} answered no short request"
        );
    }
    println!(
        "{held} connections held through {changes} changes and {kills} kills, {} requests",
        requests.answers.len()
    );
    Ok(())
}

/// Kills the daemon some milliseconds after a change was asked for: before, between or after its writes.
fn kill_while_changing(splitter: &mut Splitter, percent: f64, after_ms: u64) -> Result<()> {
    let pid = splitter.pid().context("no daemon runs")?;
    let before = green_share(splitter)?;
    std::thread::scope(|scope| {
        // Whether the command still got its answer depends on the moment; both are right.
        let change = scope.spawn(|| splitter.green("web", percent).is_ok());
        std::thread::sleep(Duration::from_millis(after_ms));
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL)?;
        change
            .join()
            .map(drop)
            .map_err(|_| anyhow::anyhow!("the command's thread panicked"))
    })?;
    splitter.kill();
    splitter.run()?;
    let after = green_share(splitter)?;
    anyhow::ensure!(
        after == before || after == percent,
        "killed while it changed green from {before} to {percent} %, the daemon came back with {after} %"
    );
    Ok(())
}

fn green_share(splitter: &Splitter) -> Result<f64> {
    let service = splitter.service("web")?;
    let green = service
        .versions
        .iter()
        .find(|v| v.name == "green")
        .context("no version green")?;
    Ok(green.set_percent)
}
