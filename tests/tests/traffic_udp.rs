//! A thousand UDP sockets through a cutover: with `flows = "track"` none moves, and new flows follow once the old ones are
//! known.

use std::time::Duration;

use anyhow::Result;
use splitter_tests::alone;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, wait_for};
use splitter_tests::servers::Servers;

const SOCKETS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(90);

fn stay_through_a_cutover(topology: Topology, family: Family) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let mut config = Config::web(&lab, family)
        .with_echo(&lab, family)
        .with_timers("300ms", "5s");
    config.services[1].flows = Some("track");
    let splitter = Splitter::start(&lab, &config)?;
    let old = Client::datagrams(&lab, family, SOCKETS, Duration::from_millis(500))?;
    wait_for("an answer on every socket", PATIENCE, || {
        let bound: u64 = old.view().udp.sockets.values().sum();
        Ok((bound == SOCKETS as u64).then_some(()))
    })?;

    let change = splitter.green("echo", 100.0)?;
    assert!(
        change.holds_in_seconds > 5.0,
        "{change:?}: not before drain.idle"
    );
    let at_once = short(&lab, family)?;
    assert_eq!(answers_from(&at_once, "green"), 0, "{at_once:?}");
    wait_for("new flows to follow", PATIENCE, || {
        let udp = short(&lab, family)?;
        Ok((answers_from(&udp, "blue") == 0).then_some(()))
    })?;
    let sent = old.view().udp.answered;
    wait_for("each old socket to be answered again", PATIENCE, || {
        Ok((old.view().udp.answered > sent + 2 * SOCKETS as u64).then_some(()))
    })?;

    let udp = old.finish()?.udp;
    assert_eq!(
        (udp.moved, udp.lost),
        (0, 0),
        "{udp:?}\n{}",
        splitter.log_tail()
    );
    assert_eq!(answers_from(&udp, "green"), 0, "{udp:?}");
    println!(
        "{topology:?} {family:?}: {SOCKETS} sockets, {} answers, 0 moved",
        udp.answered
    );
    Ok(())
}

/// Twenty new sockets, a few datagrams each.
fn short(lab: &Lab, family: Family) -> Result<splitter_tests::clients::report::UdpTotals> {
    let client = Client::datagrams(lab, family, 20, Duration::from_millis(20))?;
    wait_for("answers", PATIENCE, || {
        Ok((client.view().udp.answered >= 40).then_some(()))
    })?;
    Ok(client.finish()?.udp)
}

fn answers_from(udp: &splitter_tests::clients::report::UdpTotals, version: &str) -> u64 {
    udp.by
        .iter()
        .filter(|(name, _)| name.starts_with(version))
        .map(|(_, answers)| answers)
        .sum()
}

#[test]
fn dsr_v4() -> Result<()> {
    stay_through_a_cutover(Topology::Dsr, Family::V4)
}

#[test]
fn nat_elsewhere_v6() -> Result<()> {
    stay_through_a_cutover(Topology::NatElsewhere, Family::V6)
}
