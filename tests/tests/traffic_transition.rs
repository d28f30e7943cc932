//! What a transition costs and shows: no memory at rest, a view that foretells its end, shares that are as set.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use splitter::api::types::{ServiceView, VersionView};
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, now_ns, wait_for};
use splitter_tests::servers::Servers;
use splitter_tests::{alone, sizes};

/// Chance of a false alarm at five standard deviations: one in 1.7 million.
const BOUND: f64 = 5.0;

fn green(service: &ServiceView) -> Result<&VersionView> {
    service
        .versions
        .iter()
        .find(|v| v.name == "green")
        .context("no version green")
}

#[test]
fn at_rest_no_flow_is_remembered_whatever_traffic_runs() -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(Topology::Dsr)?;
    let _servers = Servers::start(&lab, None)?;
    let config = Config::web(&lab, Family::V4).with_echo(&lab, Family::V4);
    let splitter = Splitter::start(&lab, &config)?;
    let requests = Client::request(&lab, Family::V4, 200)?;
    let datagrams = Client::datagrams(&lab, Family::V4, 10, Duration::from_millis(20))?;
    let held = Client::hold(&lab, Family::V4, 50, Duration::from_millis(100))?;
    for answers in [100, 300, 500] {
        wait_for("traffic", Duration::from_secs(60), || {
            Ok((requests.view().answers.len() >= answers).then_some(()))
        })?;
        let service = splitter.service("web")?;
        assert_eq!(service.transition, None);
        assert_eq!(splitter.flows("web")?.total, 0);
        assert_eq!(splitter.flows("echo")?.total, 0);
        let stats = splitter.stats()?;
        assert_eq!((stats.flow_records, stats.slots_in_transition), (0, 0));
        assert!(stats.flow_record_room > 0);
    }
    // Without this, the memory could be empty because the table was never asked for anything.
    splitter.green("web", 50.0)?;
    wait_for(
        "records of flows in transition",
        Duration::from_secs(30),
        || Ok((splitter.flows("web")?.total > 0).then_some(())),
    )?;
    assert!(requests.finish()?.answers.iter().all(|a| a.backend.is_ok()));
    assert_eq!(datagrams.finish()?.udp.lost, 0);
    let held = held.finish()?.held;
    assert_eq!((held.moved, held.broken), (0, 0));
    Ok(())
}

#[test]
fn the_view_of_a_transition_foretells_when_it_settles() -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(Topology::Dsr)?;
    let _servers = Servers::start(&lab, None)?;
    let splitter = Splitter::start(
        &lab,
        &Config::web(&lab, Family::V4).with_timers("500ms", "2s"),
    )?;
    let change = splitter.green("web", 25.0)?;
    assert_eq!(change.slots_moved, change.slots / 4, "{change:?}");
    assert_eq!(change.established_flows_moved, 0);
    let begin = Instant::now();
    let transition = splitter
        .service("web")?
        .transition
        .context("a change of weights starts a transition")?;
    assert_eq!(transition.track, change.slots_moved, "{transition:?}");
    assert_eq!(
        (transition.handover, transition.residue),
        (0, 0),
        "{transition:?}"
    );
    let foretold = transition
        .settles_in_seconds
        .context("nothing holds it, so its end is known")?;
    // Idle flows must be given `drain.idle` twice (TRACK, RESIDUE), so no less can be right.
    assert!(foretold > 4.0, "foretold to settle in {foretold} s");
    let took = wait_for("the transition to settle", Duration::from_secs(90), || {
        Ok(splitter
            .service("web")?
            .transition
            .is_none()
            .then(|| begin.elapsed().as_secs_f64()))
    })?;
    assert!(
        took > 4.0,
        "settled after {took} s, before old flows could be told to be gone"
    );
    assert!(
        (took - foretold).abs() < 20.0,
        "foretold {foretold} s, took {took} s"
    );
    let service = splitter.service("web")?;
    assert_eq!(green(&service)?.slots, change.slots / 4);
    let base: u32 = green(&service)?.backends.iter().map(|b| b.base_slots).sum();
    assert_eq!(
        base,
        change.slots / 4,
        "at rest, a slot's base is its current"
    );
    Ok(())
}

#[test]
fn a_transition_settles_under_short_requests_and_leaves_no_record() -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(Topology::Dsr)?;
    let _servers = Servers::start(&lab, None)?;
    let splitter = Splitter::start(
        &lab,
        &Config::web(&lab, Family::V6).with_timers("500ms", "2s"),
    )?;
    let requests = Client::request(&lab, Family::V6, 100)?;
    splitter.green("web", 50.0)?;
    wait_for(
        "records of flows in transition",
        Duration::from_secs(30),
        || Ok((splitter.flows("web")?.total > 0).then_some(())),
    )?;
    wait_for(
        "the transition to settle and its records to go",
        Duration::from_secs(120),
        || {
            let settled =
                splitter.service("web")?.transition.is_none() && splitter.flows("web")?.total == 0;
            Ok(settled.then_some(()))
        },
    )?;
    assert!(requests.finish()?.answers.iter().all(|a| a.backend.is_ok()));
    Ok(())
}

fn shares(topology: Topology, family: Family) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let splitter = Splitter::start(&lab, &Config::web(&lab, family).with_timers("500ms", "5s"))?;
    let requests = Client::request(&lab, family, 300)?;
    for percent in [10.0, 50.0] {
        let change = splitter.green("web", percent)?;
        std::thread::sleep(
            Duration::from_secs_f64(change.holds_in_seconds) + Duration::from_millis(500),
        );
        let from = now_ns();
        let answers = wait_for("enough answers", Duration::from_secs(120), || {
            let answers = requests.answers_between(from, u64::MAX);
            Ok((answers.len() >= sizes::share_samples()).then_some(answers))
        })?;
        let answered = answers.iter().filter(|a| a.backend.is_ok()).count() as u64;
        assert_eq!(answered as usize, answers.len(), "requests failed");
        let from_green = answers.iter().filter(|a| a.is_from("green")).count() as u64;
        assert_share("by answers", percent, from_green, answered);

        let service = splitter.service("web")?;
        assert_eq!(green(&service)?.set_percent, percent);
        let samples: u64 = service.versions.iter().map(|v| v.samples).sum();
        assert!(samples > 0, "the daemon measured nothing");
        let measured = green(&service)?
            .measured_percent
            .context("samples, but no share")?;
        assert!((measured - 100.0 * green(&service)?.samples as f64 / samples as f64).abs() < 0.01);
    }
    Ok(())
}

fn assert_share(what: &str, percent: f64, of: u64, total: u64) {
    let p = percent / 100.0;
    let n = total as f64;
    let deviations = (of as f64 - p * n).abs() / (n * p * (1.0 - p)).sqrt();
    assert!(
        deviations <= BOUND,
        "{what}: {of} of {total} at {percent} % is {deviations:.1} standard deviations off"
    );
}

#[test]
fn shares_are_as_set_dsr_v4() -> Result<()> {
    shares(Topology::Dsr, Family::V4)
}

#[test]
fn shares_are_as_set_nat_v6() -> Result<()> {
    shares(Topology::NatElsewhere, Family::V6)
}
