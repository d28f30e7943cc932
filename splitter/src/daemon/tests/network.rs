//! What becomes of the network in the maps, over restarts and failed writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use splitter_common::abi::{Backend as Abi, Interface};

use super::*;
use crate::daemon::serve::refuse_own;
use crate::dataplane::Attached;
use crate::net::{Hop, Link, OwnAddress, View, to_abi};

const EDGE: u32 = 3;
const FORMER: u32 = 4;

fn link(name: &str, index: u32) -> Link {
    Link {
        name: name.to_owned(),
        index,
        mac: Some([index as u8; 6]),
        mtu: 1500,
        xdp: None,
    }
}

fn own() -> IpAddr {
    "10.0.0.254".parse().expect("an address")
}

fn view(core: &Core<Fake>) -> View {
    let way = Hop::Via {
        interface: EDGE,
        destination_mac: [7; 6],
        source_mac: [EDGE as u8; 6],
        mtu: 1500,
    };
    let hops = core.wanted_hops().into_iter();
    View {
        links: vec![link("eth0", EDGE), link("eth1", FORMER)],
        own: BTreeSet::from([OwnAddress {
            interface: EDGE,
            address: own(),
            prefix: 24,
        }]),
        hops: hops.map(|address| (address, way.clone())).collect(),
    }
}

fn attached() -> Attached {
    Attached {
        name: "eth0".to_owned(),
        index: EDGE,
        native: true,
        program: 1,
        link: 1,
        replaced: true,
    }
}

/// A start up to where the program would be attached.
fn start(host: &Host) -> Core<Fake> {
    let mut core = host
        .start(&configuration(vec![service()]))
        .expect("it starts");
    core.carriers = BTreeSet::from([EDGE]);
    core
}

fn interfaces(host: &Host) -> Vec<u32> {
    host.maps.memory().interfaces.keys().copied().collect()
}

#[test]
fn a_restart_keeps_the_interfaces_until_the_new_program_is_attached() {
    let host = Host::new();
    let former = Interface {
        mac: [FORMER as u8; 6],
        reserved: [0; 2],
    };
    host.maps.memory().interfaces = BTreeMap::from([(FORMER, former)]);
    let mut core = start(&host);
    let seen = view(&core);
    core.see(seen.clone()).expect("maps can be written");
    assert_eq!(interfaces(&host), [EDGE, FORMER]);
    core.attached = vec![attached()];
    core.see(seen).expect("maps can be written");
    assert_eq!(interfaces(&host), [EDGE]);

    drop(core);
    // The next one is killed before it has attached anything.
    let mut next = start(&host);
    let seen = view(&next);
    next.see(seen).expect("maps can be written");
    assert_eq!(interfaces(&host), [EDGE]);
}

#[test]
fn a_network_not_seen_yet_takes_nothing_away() {
    let host = Host::new();
    let mut core = start(&host);
    core.attached = vec![attached()];
    let seen = view(&core);
    core.see(seen.clone()).expect("maps can be written");

    drop(core);
    let mut next = start(&host);
    next.see(View::default()).expect("nothing to write");
    next.attached = vec![attached()];
    next.see(View::default()).expect("nothing to write");
    assert_eq!(interfaces(&host), [EDGE]);
    let memory = host.maps.memory();
    assert_eq!(memory.own.keys().collect::<Vec<_>>(), [&to_abi(own())]);
    assert!(memory.backends.values().any(|b| b.interface == EDGE));
}

#[test]
fn a_view_that_could_not_be_written_is_written_later_next_hops_first() {
    let mut failures = 0;
    for budget in 0.. {
        let host = Host::new();
        let mut core = start(&host);
        core.attached = vec![attached()];
        let seen = view(&core);
        let in_force = |host: &Host| {
            let memory = host.maps.memory();
            let alive = memory.backends.values().filter(|b| b.is(Abi::ALIVE));
            let hops = alive.filter(|b| b.interface == EDGE && b.mtu == 1500);
            (hops.count(), memory.interfaces.len(), memory.own.len())
        };
        host.maps.die_after(budget);
        let written = core.see(seen);
        let (hops, interfaces, own) = in_force(&host);
        assert!(hops == 4 || (interfaces, own) == (0, 0));
        if written.is_ok() {
            break;
        }
        assert!(core.view_due);
        failures += 1;
        // The network does not change: nothing but the daemon itself will bring it up again.
        host.maps.revive();
        core.write_view().expect("maps can be written");
        assert_eq!(in_force(&host), (4, 1, 1));
        assert!(!core.view_due);
    }
    assert!(failures > 5, "{failures}");
}

#[test]
fn a_hairpin_source_of_this_host_is_refused() {
    let mut settings = configuration(Vec::new()).daemon;
    settings.hairpin_source = vec!["10.0.0.250".parse().expect("an address")];
    let mut view = View::default();
    let own = |address: &str| OwnAddress {
        address: address.parse().expect("an address"),
        prefix: 24,
        interface: 2,
    };
    view.own.insert(own("10.0.0.1"));
    assert!(refuse_own(&settings, &view).is_ok());
    view.own.insert(own("10.0.0.250"));
    let error = refuse_own(&settings, &view).expect_err("refused");
    assert!(error.to_string().contains("10.0.0.250"), "{error}");
}
