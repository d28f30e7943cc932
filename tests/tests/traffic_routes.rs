//! Routes under traffic: added, nested, expired, removed, with a daemon that is killed in between. Connections that are
//! held from clients in them and beside them stay where they are; new ones follow.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use splitter_tests::alone;
use splitter_tests::clients::Client;
use splitter_tests::lab::{Config, Family, Lab, Splitter, Topology, now_ns, wait_for};
use splitter_tests::servers::Servers;

const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(250);
const HELD: usize = 12;

/// Waits until so many requests in a row that were asked from now on went to a version.
fn all_to(requests: &Client, version: &str) -> Result<()> {
    let mut from = now_ns();
    wait_for(
        &format!("all new flows to go to {version}"),
        PATIENCE,
        || {
            let answers = requests.answers_between(from, u64::MAX);
            let there = |backend: &Result<String, String>| {
                backend.as_ref().is_ok_and(|name| name.starts_with(version))
            };
            if answers.iter().all(|answer| there(&answer.backend)) {
                return Ok((answers.len() >= 15).then_some(()));
            }
            from = now_ns();
            Ok(None)
        },
    )
}

fn routes_under_traffic(topology: Topology, family: Family) -> Result<()> {
    let _alone = alone();
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    let config = Config::web(&lab, family).with_timers("300ms", "2s");
    let mut splitter = Splitter::start(&lab, &config)?;
    let (inner, outer) = (lab.add_client(family, 32)?, lab.add_client(family, 33)?);
    let beside: IpAddr = splitter_tests::lab::Addresses::client(family);
    let (narrow, wide) = match family {
        Family::V4 => (format!("{inner}/32"), "192.0.2.32/27".to_owned()),
        Family::V6 => (format!("{inner}/128"), "2001:db8:0:1::20/123".to_owned()),
    };
    let clients = [inner, outer, beside];
    let hold = |from: IpAddr| Client::hold_from(&lab, from, HELD, EVERY);
    let mut held: Vec<Client> = clients.into_iter().map(hold).collect::<Result<_>>()?;
    let asking: Vec<Client> = clients
        .into_iter()
        .map(|from| Client::request_from(&lab, from, 20))
        .collect::<Result<_>>()?;
    let expect = |versions: [&str; 3]| -> Result<()> {
        let mut pairs = asking.iter().zip(versions);
        pairs.try_for_each(|(requests, version)| all_to(requests, version))
    };

    let change = splitter.add_route(&wide, "green", &[])?;
    assert_eq!(change.established_flows_moved, 0);
    expect(["green", "green", "blue"])?;
    held.push(hold(outer)?);
    splitter.add_route(&narrow, "blue", &[])?;
    splitter.kill();
    splitter.run()?;
    expect(["blue", "green", "blue"])?;
    assert_eq!(splitter.routes()?, [wide.clone(), narrow.clone()]);
    held.push(hold(inner)?);

    // The outer one goes by itself; connections that were begun under it stay.
    splitter.add_route(&wide, "green", &["--ttl", "1s"])?;
    expect(["blue", "blue", "blue"])?;
    splitter.green("web", 100.0)?;
    expect(["blue", "green", "green"])?;
    splitter.remove_route(&narrow)?;
    splitter.kill();
    splitter.run()?;
    expect(["green", "green", "green"])?;

    let failed: Vec<_> = asking
        .iter()
        .flat_map(|requests| requests.view().answers.clone())
        .filter(|answer| answer.backend.is_err())
        .collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", splitter.log_tail());
    let stay = ["blue", "blue", "blue", "green", "blue"];
    for (client, version) in held.into_iter().zip(stay) {
        let held = client.finish()?;
        assert_eq!(
            (held.held.moved, held.held.broken),
            (0, 0),
            "{:?}\n{}",
            held.faults,
            splitter.log_tail()
        );
        assert_eq!(held.held.open_to(version) as usize, HELD, "{:?}", held.held);
    }
    // With no flow left that needs its row, every route goes. It takes its time: once is enough.
    if family == Family::V6 {
        return Ok(());
    }
    wait_for("the routes to be gone", PATIENCE, || {
        Ok(splitter.routes()?.is_empty().then_some(()))
    })
}

#[test]
fn dsr_v4() -> Result<()> {
    routes_under_traffic(Topology::Dsr, Family::V4)
}

#[test]
fn nat_elsewhere_v6() -> Result<()> {
    routes_under_traffic(Topology::NatElsewhere, Family::V6)
}
