//! The lab itself: without splitter, by plain routing, so that a suite that fails accuses splitter and not the lab.

use std::time::Duration;

use anyhow::Result;
use splitter_tests::clients::Client;
use splitter_tests::lab::{BACKENDS, FAMILIES, Family, Lab, Topology, wait_for};
use splitter_tests::servers::{Fault, Servers};

/// In the DSR lab a client that asks a backend for the VIP directly is answered: servers, links, VIP on `lo`.
fn send_vip_to(lab: &Lab, backend: &str, family: Family) -> Result<()> {
    let vip = format!(
        "{}/{}",
        lab.vip(family),
        if family == Family::V4 { 32 } else { 128 }
    );
    let by = lab.backend_address(backend, family).ip().to_string();
    let mut command = std::process::Command::new("ip");
    let status = lab
        .client
        .spawn(command.args(["route", "replace", &vip, "via", &by]))?
        .wait()?;
    anyhow::ensure!(
        status.success(),
        "ip route replace {vip} via {by}: {status}"
    );
    Ok(())
}

#[test]
fn every_backend_answers_for_the_vip_in_its_own_name() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let _servers = Servers::start(&lab, None)?;
    for family in FAMILIES {
        for backend in BACKENDS {
            send_vip_to(&lab, backend, family)?;
            let held = Client::hold(&lab, family, 4, Duration::from_millis(20))?;
            let requests = Client::request(&lab, family, 100)?;
            let datagrams = Client::datagrams(&lab, family, 2, Duration::from_millis(10))?;
            wait_for("some answers", Duration::from_secs(30), || {
                Ok(
                    (requests.view().answers.len() > 20 && held.view().held.messages > 40)
                        .then_some(()),
                )
            })?;
            let (held, requests, datagrams) =
                (held.finish()?, requests.finish()?, datagrams.finish()?);
            assert_eq!(
                held.held.open_to(backend),
                4,
                "{family:?} {backend}: {held:?}"
            );
            assert!(held.faults.is_empty(), "{family:?} {backend}: {held:?}");
            assert!(
                requests.answers.iter().all(|a| a.is_from(backend)),
                "{family:?} {backend}: {requests:?}"
            );
            assert!(
                datagrams.udp.answered > 0 && datagrams.udp.lost == 0,
                "{family:?} {backend}: {datagrams:?}"
            );
            assert_eq!(datagrams.udp.by.get(backend), Some(&datagrams.udp.answered));
        }
    }
    Ok(())
}

#[test]
fn a_connection_that_moves_or_breaks_is_noticed() -> Result<()> {
    for (fault, moved, broken) in [(Fault::Moved, 6, 0), (Fault::Reset, 0, 6)] {
        let lab = Lab::new(Topology::Dsr)?;
        let _servers = Servers::start(&lab, Some(fault))?;
        send_vip_to(&lab, "blue-1", Family::V4)?;
        let held = Client::hold(&lab, Family::V4, 6, Duration::from_millis(20))?;
        wait_for("all faults", Duration::from_secs(30), || {
            let held = &held.view().held;
            Ok((held.moved + held.broken == 6).then_some(()))
        })?;
        let held = held.finish()?;
        assert_eq!(
            (held.held.moved, held.held.broken),
            (moved, broken),
            "{fault:?}: {held:?}"
        );
        assert_eq!(held.faults.len(), 6, "{fault:?}");
    }
    Ok(())
}

#[test]
fn a_silent_vip_is_a_failure_of_requests() -> Result<()> {
    // Nobody announces the VIP here, so the client gets no answer to ARP.
    let lab = Lab::new(Topology::Dsr)?;
    let requests = Client::request(&lab, Family::V4, 10)?;
    wait_for("a failure", Duration::from_secs(30), || {
        Ok(requests
            .view()
            .answers
            .iter()
            .any(|a| a.backend.is_err())
            .then_some(()))
    })
}

#[test]
fn backends_elsewhere_are_reached_and_answer_by_the_edge_host() -> Result<()> {
    let lab = Lab::new(Topology::NatElsewhere)?;
    let _servers = Servers::start(&lab, None)?;
    for family in FAMILIES {
        for backend in BACKENDS {
            let address = lab.backend_address(backend, family);
            // The edge host is the router between the two links: a client that has a route gets through.
            route_back_link(&lab, family)?;
            let answer = lab.client.run(|| ask(address))?;
            assert!(
                answer.ends_with(&format!("{backend}\n")),
                "{address}: {answer:?}"
            );
        }
    }
    Ok(())
}

fn route_back_link(lab: &Lab, family: Family) -> Result<()> {
    use splitter_tests::lab::Addresses;
    let to = format!(
        "{}/{}",
        Addresses::back(family, 0),
        if family == Family::V4 { 24 } else { 64 }
    );
    let by = Addresses::edge(family).to_string();
    let mut command = std::process::Command::new("ip");
    let status = lab
        .client
        .spawn(command.args(["route", "replace", &to, "via", &by]))?
        .wait()?;
    anyhow::ensure!(status.success(), "ip route replace {to} via {by}: {status}");
    Ok(())
}

fn ask(address: std::net::SocketAddr) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(60))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn backends_on_the_edge_host_are_four_ports_of_it() -> Result<()> {
    let lab = Lab::new(Topology::NatLocal)?;
    let _servers = Servers::start(&lab, None)?;
    for family in FAMILIES {
        for backend in BACKENDS {
            let address = lab.backend_address(backend, family);
            let answer = lab.client.run(|| ask(address))?;
            assert!(
                answer.ends_with(&format!("{backend}\n")),
                "{address}: {answer:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn pins_of_a_lab_are_seen_by_its_edge_host_alone() -> Result<()> {
    let lab = Lab::new(Topology::Dsr)?;
    let folder = lab.bpffs();
    lab.edge.run(|| Ok(std::fs::create_dir(&folder)?))?;
    assert!(lab.edge.run(|| Ok(folder.is_dir()))?);
    assert!(!folder.is_dir());
    let other = Lab::new(Topology::Dsr)?;
    assert!(!other.edge.run(|| Ok(folder.is_dir()))?);
    assert!(
        lab.edge
            .run(|| Ok(std::path::Path::new("/sys/class/net/eth0").exists()))?
    );
    Ok(())
}
