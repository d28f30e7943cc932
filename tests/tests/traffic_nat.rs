//! What `nat` remembers, with traffic: two services that share their backends, and backends that call their own VIP.
//!
//! Sharing begins while connections are held, which have no record; then both services cut over, the daemon is killed,
//! and SYNs of nobody come in between. No connection moves, none breaks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use splitter_tests::clients::{Client, report::HeldTotals};
use splitter_tests::lab::{Config, FAMILIES, Family, Lab, Program, Splitter, Topology, wait_for};
use splitter_tests::servers::Servers;
use splitter_tests::{alone, cases};

const EVERY: Duration = Duration::from_millis(150);
/// The port of the second service.
const SHOP: u16 = 8000;
/// SYNs that nobody sent.
const SYNS: u32 = 20_000;

/// Clients take ports from `range`: two flows of one client that are the same to a backend would not both be admitted.
fn ports(lab: &Lab, range: &str) -> Result<()> {
    lab.client.sysctl("net/ipv4/ip_local_port_range", range)
}

/// Runs SYNs to the second service through the program that is attached, as if they came in on `eth0`.
fn flood(lab: &Lab, splitter: &Splitter<'_>, family: Family) -> Result<()> {
    let daemon = splitter.stats()?.daemon;
    let interface = daemon.interfaces.first().context("an interface")?;
    let (id, index) = (interface.program_id, interface.index);
    let vip = SocketAddr::new(lab.vip(family), SHOP);
    lab.edge.run(move || {
        let program = Program::by_id(id)?;
        for number in 0..SYNS {
            let source = match family {
                Family::V4 => format!("100.64.{}.{}", number >> 8 & 0xff, number & 0xff),
                Family::V6 => format!("2001:db8:f::{:x}", number & 0xffff),
            };
            let frame = cases::craft::Frame {
                from: format!("{source}:{}", 1024 + number % 60_000),
                to: format!("{}:{SHOP}", vip.ip()),
                sequence: number.wrapping_mul(0x9e37_79b9),
                ..cases::craft::Frame::default()
            };
            let of = match family {
                Family::V4 => cases::cast::Family::V4,
                Family::V6 => cases::cast::Family::V6,
            };
            let bytes = cases::craft::craft(&frame, of, cases::spec::Protocol::Tcp)?;
            program.run(&bytes, index)?;
        }
        Ok(())
    })
}

fn unharmed(held: &HeldTotals, connections: u64) -> Result<()> {
    ensure!(
        (held.moved, held.broken) == (0, 0)
            && held.open_to("blue") + held.open_to("green") == connections,
        "{held:?}"
    );
    Ok(())
}

fn two_services_share_backends(topology: Topology, family: Family) -> Result<()> {
    let lab = Lab::new(topology)?;
    let _servers = Servers::start(&lab, None)?;
    // Few records, so that the flood uses them up; the flows of this test are not many either.
    let mut config = Config::web(&lab, family).with_timers("300ms", "4s");
    config.daemon_extra = "reverse_records = 4096\n".to_owned();
    let mut splitter = Splitter::start(&lab, &config)?;
    ports(&lab, "1024 4999")?;
    let before = Client::hold(&lab, family, 20, EVERY)?;

    splitter.terminate()?;
    let mut shop = config.services[0].clone();
    shop.name = "shop".to_owned();
    shop.vip.set_port(SHOP);
    config.services.insert(0, shop);
    splitter.write(&config)?;
    splitter.run()?;
    ports(&lab, "5000 9999")?;
    let web = Client::hold(&lab, family, 20, EVERY)?;
    ports(&lab, "10000 19999")?;
    let to_shop = SocketAddr::new(lab.vip(family), SHOP);
    let shop = Client::hold_to(&lab.client, to_shop, 40, EVERY)?;
    let requests = Client::request(&lab, family, 20)?;

    splitter.green("web", 100.0)?;
    splitter.green("shop", 50.0)?;
    flood(&lab, &splitter, family)?;
    splitter.kill();
    splitter.run()?;
    splitter.green("shop", 100.0)?;
    splitter.green("web", 30.0)?;
    let messages = || [&before, &web, &shop].map(|client| client.view().held.messages);
    let seen = messages();
    wait_for(
        "each connection to say something more",
        Duration::from_secs(30),
        || {
            let now = messages();
            let more = |at: usize| now[at] > seen[at] + 80;
            Ok((more(0) && more(1) && more(2)).then_some(()))
        },
    )?;
    let stats = splitter.stats()?;
    let packets = |name: &str| {
        stats
            .counters
            .iter()
            .find(|c| c.name == name)
            .map(|c| c.packets)
    };
    ensure!(
        packets("drop_reverse_conflict") == Some(0) && packets("drop_reverse_full") == Some(0),
        "{stats:?}"
    );
    ensure!(
        (80..=4096).contains(&stats.reverse_records),
        "{} reverse records",
        stats.reverse_records
    );
    for (client, connections) in [(before, 20), (web, 20), (shop, 40)] {
        let done = client.finish()?;
        unharmed(&done.held, connections)
            .with_context(|| format!("{:?}\n{}", done.faults, splitter.log_tail()))?;
    }
    let requests = requests.finish()?;
    let failed: Vec<_> = requests
        .answers
        .iter()
        .filter(|a| a.backend.is_err())
        .collect();
    ensure!(
        failed.is_empty() && !requests.answers.is_empty(),
        "{failed:?}"
    );
    Ok(())
}

#[test]
fn two_services_share_backends_behind_the_host() -> Result<()> {
    let _alone = alone();
    for family in FAMILIES {
        two_services_share_backends(Topology::NatElsewhere, family)?;
    }
    Ok(())
}

#[test]
fn two_services_share_backends_on_the_host() -> Result<()> {
    let _alone = alone();
    for family in FAMILIES {
        two_services_share_backends(Topology::NatLocal, family)?;
    }
    Ok(())
}

#[test]
fn backends_call_their_own_vip() -> Result<()> {
    let _alone = alone();
    for family in FAMILIES {
        let lab = Lab::new(Topology::NatElsewhere)?;
        let _servers = Servers::start(&lab, None)?;
        let mut config = Config::web(&lab, family).with_timers("300ms", "4s");
        config.daemon_extra =
            "hairpin_source = [\"203.0.113.250\", \"2001:db8:0:2::250\"]\n".to_owned();
        let mut splitter = Splitter::start(&lab, &config)?;
        let vip = SocketAddr::new(lab.vip(family), config.services[0].vip.port());
        let blue = Client::hold_to(lab.backend("blue-1"), vip, 20, EVERY)?;
        splitter.green("web", 50.0)?;
        let mixed = Client::hold_to(lab.backend("green-2"), vip, 20, EVERY)?;
        splitter.kill();
        splitter.run()?;
        splitter.green("web", 100.0)?;
        let messages = || [&blue, &mixed].map(|client| client.view().held.messages);
        let seen = messages();
        wait_for(
            "each call to say something more",
            Duration::from_secs(30),
            || {
                let now = messages();
                Ok((now[0] > seen[0] + 80 && now[1] > seen[1] + 80).then_some(()))
            },
        )?;
        for client in [blue, mixed] {
            let done = client.finish()?;
            unharmed(&done.held, 20)
                .with_context(|| format!("{:?}\n{}", done.faults, splitter.log_tail()))?;
        }
        let dropped = splitter.stats()?;
        let dropped = dropped.counters.iter().find(|c| c.name == "drop_hairpin");
        ensure!(dropped.is_some_and(|c| c.packets == 0), "{dropped:?}");
    }
    Ok(())
}
