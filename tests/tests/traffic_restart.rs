//! The daemon stops, is killed and starts again in the middle of a transition: no packet and no assignment is lost.

use std::time::Duration;

use anyhow::{Context, Result};
use splitter::api::types::InterfaceView;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, now_ns, wait_for};
use splitter_tests::servers::Servers;
use splitter_tests::{alone, sizes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Terminate,
    Kill,
}

/// Without a daemon for so long each time, at least.
const DEAD: Duration = Duration::from_millis(700);

fn restart_under_load(topology: Topology, family: Family, end: End) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let config = Config::web(&lab, family)
        .with_echo(&lab, family)
        .with_timers("500ms", "5s");
    let mut splitter = Splitter::start(&lab, &config)?;
    let requests = Client::request(&lab, family, 100)?;
    let datagrams = Client::datagrams(&lab, family, 20, Duration::from_millis(50))?;
    let held = Client::hold(&lab, family, 40, Duration::from_millis(250))?;
    let links = links(&splitter)?;
    assert_eq!(links.len(), lab.interfaces().len());

    for round in 0..sizes::restarts() {
        let percent = if round % 2 == 0 { 60.0 } else { 20.0 };
        splitter.green("web", percent)?;
        splitter.green("echo", percent)?;
        let transition = splitter
            .service("web")?
            .transition
            .context("a change of weights starts a transition")?;
        assert!(transition.track > 0, "{transition:?}");
        match end {
            End::Terminate => splitter.terminate()?,
            End::Kill => splitter.kill(),
        }
        let dead_from = now_ns();
        std::thread::sleep(DEAD);
        wait_for(
            "answers to what was asked while no daemon runs",
            Duration::from_secs(30),
            || {
                let answers = requests.answers_between(dead_from, u64::MAX);
                Ok((answers.iter().filter(|a| a.backend.is_ok()).count() >= 40).then_some(()))
            },
        )?;
        splitter.run()?;

        assert_eq!(
            self::links(&splitter)?,
            links,
            "round {round}: the links are others now"
        );
        for service in splitter.services()?.services {
            let green = service
                .versions
                .iter()
                .find(|v| v.name == "green")
                .context("no version green")?;
            assert_eq!(
                green.set_percent, percent,
                "{}: weights set by hand are lost",
                service.name
            );
        }
    }

    let (requests, datagrams, held) = (requests.finish()?, datagrams.finish()?, held.finish()?);
    let failed: Vec<_> = requests
        .answers
        .iter()
        .filter(|a| a.backend.is_err())
        .collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", splitter.log_tail());
    assert_eq!(
        datagrams.udp.lost,
        0,
        "{:?}\n{}",
        datagrams.udp,
        splitter.log_tail()
    );
    assert_eq!(datagrams.udp.answered, datagrams.udp.sent);
    assert!(datagrams.udp.answered > 100, "{:?}", datagrams.udp);
    assert_eq!(
        (held.held.moved, held.held.broken),
        (0, 0),
        "{:?}",
        held.faults
    );
    assert_eq!(held.held.open_to(""), 40);
    Ok(())
}

/// Link ids by interface; program ids may change.
fn links(splitter: &Splitter) -> Result<Vec<(String, u32)>> {
    let link = |interface: InterfaceView| (interface.name, interface.link_id);
    Ok(splitter
        .stats()?
        .daemon
        .interfaces
        .into_iter()
        .map(link)
        .collect())
}

#[test]
fn stopped_and_started_dsr_v4() -> Result<()> {
    restart_under_load(Topology::Dsr, Family::V4, End::Terminate)
}

#[test]
fn killed_and_started_dsr_v6() -> Result<()> {
    restart_under_load(Topology::Dsr, Family::V6, End::Kill)
}

#[test]
fn stopped_and_started_nat_v6() -> Result<()> {
    restart_under_load(Topology::NatElsewhere, Family::V6, End::Terminate)
}

#[test]
fn killed_and_started_nat_v4() -> Result<()> {
    restart_under_load(Topology::NatElsewhere, Family::V4, End::Kill)
}

#[test]
fn killed_and_started_nat_local_v4() -> Result<()> {
    restart_under_load(Topology::NatLocal, Family::V4, End::Kill)
}
