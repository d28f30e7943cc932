//! Datagrams of 8 KB, fragmented on their way to the backends and back, through a cutover: each is echoed whole.

use std::time::Duration;

use anyhow::{Context, Result};
use splitter_tests::alone;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, wait_for};
use splitter_tests::servers::Servers;

/// Bytes of a datagram: six fragments at an MTU of 1,500.
const SIZE: usize = 8192;
/// Answers to wait for, before and after the cutover, from each version.
const ENOUGH: u64 = 100;

fn count(splitter: &Splitter, name: &str) -> Result<u64> {
    let stats = splitter.stats()?;
    let counter = stats.counters.iter().find(|counter| counter.name == name);
    Ok(counter.with_context(|| name.to_owned())?.packets)
}

fn fragments(topology: Topology, family: Family) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let config = Config::web(&lab, family)
        .with_echo(&lab, family)
        .with_timers("500ms", "2s");
    let splitter = Splitter::start(&lab, &config)?;
    let client = Client::datagrams_of(&lab, family, 10, Duration::from_millis(10), SIZE)?;
    let answered = |version: &str| {
        let view = client.view();
        let by = &view.udp.by;
        by.iter()
            .filter(|(name, _)| name.starts_with(version))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    let wait = |version: &str| {
        wait_for("datagrams to be echoed", Duration::from_secs(60), || {
            Ok((answered(version) >= ENOUGH).then_some(()))
        })
    };
    wait("blue")?;
    splitter.green("echo", 100.0)?;
    wait("green")?;
    let report = client.finish()?.udp;
    assert_eq!(report.lost, 0, "{report:?}");
    assert_eq!(report.answered, report.sent, "{report:?}");
    // They did come in fragments: six packets each, and all but the first by the first one's note.
    let steered = match topology {
        Topology::Dsr => "forward_dsr",
        Topology::NatElsewhere => "forward_nat",
        Topology::NatLocal => "deliver_local",
    };
    assert!(count(&splitter, steered)? >= 6 * report.sent);
    for name in [
        "drop_fragment_before_first",
        "drop_malformed",
        "drop_internal",
    ] {
        assert_eq!(count(&splitter, name)?, 0, "{name}");
    }
    let replies = count(&splitter, "reply_nat")?
        + count(&splitter, "reply_stack")?
        + count(&splitter, "reply_local")?;
    if topology != Topology::Dsr {
        assert!(replies >= 6 * report.answered, "{replies} replies");
    }
    Ok(())
}

#[test]
fn dsr_v4() -> Result<()> {
    fragments(Topology::Dsr, Family::V4)
}

#[test]
fn dsr_v6() -> Result<()> {
    fragments(Topology::Dsr, Family::V6)
}

#[test]
fn nat_elsewhere_v4() -> Result<()> {
    fragments(Topology::NatElsewhere, Family::V4)
}

#[test]
fn nat_elsewhere_v6() -> Result<()> {
    fragments(Topology::NatElsewhere, Family::V6)
}

#[test]
fn nat_local_v4() -> Result<()> {
    fragments(Topology::NatLocal, Family::V4)
}

#[test]
fn nat_local_v6() -> Result<()> {
    fragments(Topology::NatLocal, Family::V6)
}
