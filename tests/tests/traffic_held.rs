//! Connections held through 200 changes of weights: none moves, none breaks. Both families, each way to the backends.
//!
//! `drain.idle` is short, so that slots go all the way round (TRACK, HANDOVER, RESIDUE, STEADY) while connections are
//! held, and long enough that a connection which says something every 300 ms is not silent for it on a busy machine.

use std::time::Duration;

use anyhow::Result;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, wait_for};
use splitter_tests::servers::Servers;
use splitter_tests::{alone, sizes, weights};

const EVERY: Duration = Duration::from_millis(300);

fn hold_through_changes(topology: Topology, family: Family) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let config = Config::web(&lab, family).with_timers("300ms", "4s");
    let splitter = Splitter::start(&lab, &config)?;
    let connections = sizes::held();
    let blue = Client::hold(&lab, family, connections / 2, EVERY)?;
    let change = splitter.green("web", 50.0)?;
    std::thread::sleep(Duration::from_secs_f64(change.holds_in_seconds));
    let mixed = Client::hold(&lab, family, connections - connections / 2, EVERY)?;
    let requests = Client::request(&lab, family, 40)?;

    let mut moved_slots = 0_u64;
    for percent in weights::sequence("traffic_held").take(sizes::held_changes()) {
        moved_slots += u64::from(splitter.green("web", percent)?.slots_moved);
        // Spread over the time that slots need to come to rest again.
        std::thread::sleep(Duration::from_millis(80));
    }
    let messages = || blue.view().held.messages + mixed.view().held.messages;
    let messages_before = messages();
    wait_for(
        "each connection to say something more",
        Duration::from_secs(30),
        || Ok((messages() > messages_before + connections as u64).then_some(())),
    )?;

    let (blue, mixed, requests) = (blue.finish()?, mixed.finish()?, requests.finish()?);
    for client in [&blue, &mixed] {
        assert_eq!(
            (client.held.moved, client.held.broken),
            (0, 0),
            "{:?}\n{}",
            client.faults,
            splitter.log_tail()
        );
    }
    assert_eq!(
        blue.held.open_to("blue") as usize,
        connections / 2,
        "{:?}",
        blue.held
    );
    assert_eq!(
        (mixed.held.open_to("blue") + mixed.held.open_to("green")) as usize,
        connections - connections / 2
    );
    assert!(
        mixed.held.open_to("green") > 0,
        "half of new flows were for green: {:?}",
        mixed.held
    );
    let failed: Vec<_> = requests
        .answers
        .iter()
        .filter(|a| a.backend.is_err())
        .collect();
    assert!(
        failed.is_empty() && !requests.answers.is_empty(),
        "{failed:?}"
    );
    assert!(moved_slots > 0, "the changes changed nothing");
    Ok(())
}

#[test]
fn dsr_v4() -> Result<()> {
    hold_through_changes(Topology::Dsr, Family::V4)
}

#[test]
fn dsr_v6() -> Result<()> {
    hold_through_changes(Topology::Dsr, Family::V6)
}

#[test]
fn nat_elsewhere_v4() -> Result<()> {
    hold_through_changes(Topology::NatElsewhere, Family::V4)
}

#[test]
fn nat_elsewhere_v6() -> Result<()> {
    hold_through_changes(Topology::NatElsewhere, Family::V6)
}

#[test]
fn nat_local_v4() -> Result<()> {
    hold_through_changes(Topology::NatLocal, Family::V4)
}

#[test]
fn nat_local_v6() -> Result<()> {
    hold_through_changes(Topology::NatLocal, Family::V6)
}
