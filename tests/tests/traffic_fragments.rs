//! Datagrams of 8 KB, fragmented on their way to the backends and back, through a cutover: each is echoed whole.

use std::time::Duration;

use anyhow::{Context, Result};
use splitter_tests::alone;
use splitter_tests::clients::Client;
use splitter_tests::clients::report::UdpTotals;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, wait_for};
use splitter_tests::servers::Servers;

/// Bytes of a datagram: six fragments at an MTU of 1,500.
const SIZE: usize = 8192;
/// Fragments to wait for, before, during and after the cutover.
const ENOUGH: u64 = 600;

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
    let steered = match topology {
        Topology::Dsr => "forward_dsr",
        Topology::NatElsewhere => "forward_nat",
        Topology::NatLocal => "deliver_local",
    };
    let more = |packets: u64| {
        let from = count(&splitter, steered)?;
        wait_for("fragments to be steered", Duration::from_secs(60), || {
            Ok((count(&splitter, steered)? >= from + packets).then_some(()))
        })
    };
    let datagrams = || Client::datagrams_of(&lab, family, 10, Duration::from_millis(10), SIZE);
    let throughout = datagrams()?;
    more(ENOUGH)?;
    splitter.green("echo", 100.0)?;
    more(ENOUGH)?;
    wait_for("the transition to settle", Duration::from_secs(60), || {
        Ok(splitter.service("echo")?.transition.is_none().then_some(()))
    })?;
    let after = datagrams()?;
    more(ENOUGH)?;
    let (throughout, after) = (throughout.finish()?.udp, after.finish()?.udp);
    for report in [&throughout, &after] {
        assert_eq!(report.lost, 0, "{report:?}");
        assert_eq!(report.answered, report.sent, "{report:?}");
    }
    let from = |report: &UdpTotals, version: &str| report.by.keys().any(|b| b.starts_with(version));
    assert!(from(&throughout, "blue"), "{throughout:?}");
    assert!(from(&after, "green") && !from(&after, "blue"), "{after:?}");
    let sent = throughout.sent + after.sent;
    assert!(sent > 0);
    // They did come in fragments: six packets each, and all but the first by the first one's note.
    assert!(count(&splitter, steered)? >= 6 * sent);
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
        assert!(replies >= 6 * sent, "{replies} replies");
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
