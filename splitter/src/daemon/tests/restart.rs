//! Kills, restarts, and what a file may change between two lives.

use splitter_common::abi::Backend as Row;
use splitter_common::datapath::flow_table::{Kind, Record, tick};

use super::*;
use crate::daemon::numbers::Number;
use crate::dataplane::Dataplane as _;
use crate::model::{Ports, Seed};

#[test]
fn a_kill_between_any_two_writes_is_made_good() {
    // Coarse time: there are hundreds of lives to live.
    const STEP: u64 = 4 * SECOND;
    // What an undisturbed life comes to.
    let host = Host::new();
    let mut seeded = configuration(vec![service()]);
    seeded.daemon.seed = Some(Seed([1, 2]));
    let mut core = host.start(&seeded).expect("starts");
    core.change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    host.pass_by(&mut core, 60, STEP);
    let expected = host.words();
    let writes = host.maps.memory().writes;

    // The same life, killed after each number of writes, and started again.
    for deadly in 0..writes {
        let host = Host::new();
        host.maps.die_after(deadly);
        let store = Store::open(host.folder.path()).expect("free");
        let mut changed = false;
        if let Ok(mut core) = Core::start(host.maps.clone(), store, &seeded, host.clock()) {
            changed = core.change("web", &weights(50.0, 50.0), host.now()).is_ok();
            while host.now_ns() < 1_060 * SECOND && core.tick().is_ok() {
                host.wait(STEP);
            }
        }
        let mut core = host
            .start(&seeded)
            .unwrap_or_else(|e| panic!("after {deadly} writes: {e}"));
        if !changed {
            core.change("web", &weights(50.0, 50.0), host.now())
                .expect("plausible");
        }
        host.pass_by(&mut core, 60, STEP);
        assert_eq!(host.words(), expected, "killed after {deadly} writes");
        let memory = host.maps.memory();
        assert_eq!(memory.services.len(), 1, "killed after {deadly} writes");
        assert_eq!(memory.keys.len(), 1);
    }
    println!("killed {writes} times");
}

#[test]
fn a_restart_moves_nothing_and_keeps_weights_set_by_hand() {
    let host = Host::new();
    let configuration = configuration(vec![service()]);
    let mut core = host.start(&configuration).expect("starts");
    core.change("web", &weights(90.0, 10.0), host.now())
        .expect("plausible");
    let began = host.now().wall;
    host.pass(&mut core, 1);
    let (words, writes) = (host.words(), host.maps.memory().writes);
    drop(core);
    host.wait(5 * SECOND);
    let mut core = host.start(&configuration).expect("starts again");
    assert_eq!(host.words(), words);
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.versions[1].set_percent, 10.0);
    assert_eq!(view.transition.expect("goes on").began, began);
    assert!(
        host.maps.memory().writes - writes < 16,
        "only rows, keys and replies are written again"
    );
}

#[test]
fn damaged_state_leaves_the_slots_as_they_are() {
    let host = Host::new();
    let configuration = configuration(vec![service()]);
    let mut core = host.start(&configuration).expect("starts");
    core.change("web", &weights(25.0, 75.0), host.now())
        .expect("plausible");
    host.pass(&mut core, 60);
    let words = host.words();
    drop(core);
    std::fs::write(host.folder.path().join("state.json"), b"{ not what it was").expect("writable");
    let mut core = host.start(&configuration).expect("starts nevertheless");
    host.pass(&mut core, 5);
    assert_eq!(host.words(), words);
    assert!(host.folder.path().join("state.json.damaged-1").exists());
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(
        view.versions[1].set_percent, 75.0,
        "what the slots amount to"
    );
    // And a further restart does not take the file's weights either.
    drop(core);
    let mut core = host.start(&configuration).expect("starts");
    host.pass(&mut core, 5);
    assert_eq!(host.words(), words);
    core.change("web", &weights(100.0, 0.0), host.now())
        .expect("plausible");
    host.pass(&mut core, 60);
    assert!(host.words().iter().all(|w| w.base() < 2));
}

#[test]
fn a_backend_taken_out_drains_before_its_number_is_used_again() {
    let host = Host::new();
    let core = host.start(&configuration(vec![service()])).expect("starts");
    let out = core.services[0]
        .numbers
        .iter()
        .find_map(|(n, m)| {
            (m.id()?.ip() == core.services[0].service.versions[0].backends[1].address).then_some(n)
        })
        .expect("it has a number");
    drop(core);
    let mut smaller = service();
    smaller.versions[0] = version("blue", &["10.0.0.1"]);
    let mut core = host
        .start(&configuration(vec![smaller.clone()]))
        .expect("starts");
    assert!(matches!(
        core.services[0].numbers.get(out),
        Number::Leaving(..)
    ));
    // A flow of it stays, with a record that is refreshed.
    let mut record = Record {
        kind: Kind::Confirmed,
        closing: false,
        tag: 77,
        backend: out,
        deadline: 0,
        low: 0,
    };
    for _ in 0..8 {
        record.low = tick(host.now_ns());
        record.deadline = tick(host.now_ns() + 10 * SECOND);
        let (a, b) = record.pack();
        host.maps.memory().flows[3].words[..2].copy_from_slice(&[a, b]);
        host.pass(&mut core, 8);
        assert!(matches!(
            core.services[0].numbers.get(out),
            Number::Leaving(..)
        ));
        assert!(
            host.maps
                .backend(u32::from(out))
                .expect("a row")
                .is(Row::ALIVE)
        );
        assert_eq!(host.maps.memory().replies.len(), 4);
    }
    assert!(at_rest(&host.words()), "no word names it any more");
    host.pass(&mut core, 4);
    assert!(matches!(
        core.services[0].numbers.get(out),
        Number::Resting(..)
    ));
    assert!(
        !host
            .maps
            .backend(u32::from(out))
            .expect("a row")
            .is(Row::ALIVE)
    );
    assert_eq!(host.maps.memory().replies.len(), 3);
    host.pass(&mut core, 10);
    assert!(matches!(
        core.services[0].numbers.get(out),
        Number::Resting(..)
    ));
    host.pass(&mut core, 10);
    assert_eq!(core.services[0].numbers.get(out), Number::Free);
    drop(core);
    let mut larger = smaller;
    larger.versions[0] = version("blue", &["10.0.0.1", "10.0.0.9"]);
    let core = host.start(&configuration(vec![larger])).expect("starts");
    let number = core.services[0].numbers.get(out);
    assert_eq!(
        number.id().map(|id| id.ip().to_string()),
        Some("10.0.0.9".to_owned())
    );
}

#[test]
fn a_backend_that_comes_back_gets_its_own_number() {
    let host = Host::new();
    let before = host
        .start(&configuration(vec![service()]))
        .expect("starts")
        .services[0]
        .numbers
        .clone();
    let mut smaller = service();
    smaller.versions[0] = version("blue", &["10.0.0.1", "10.0.0.7"]);
    drop(host.start(&configuration(vec![smaller])).expect("starts"));
    let core = host.start(&configuration(vec![service()])).expect("starts");
    for (number, meaning) in before.iter().filter(|(_, m)| m.is_alive()) {
        assert_eq!(core.services[0].numbers.get(number), meaning);
    }
    assert!(matches!(
        core.services[0].numbers.get(4),
        Number::Leaving(..)
    ));
}

/// Services "web" and "mail", the latter with these backends.
fn web_and_mail(web: Service, mail: &[&str]) -> Configuration {
    let mail = Service {
        name: "mail".to_owned(),
        ports: Ports::one(25).expect("a port"),
        versions: vec![version("blue", mail)],
        weights: Weights::all_to(0, 1),
        ..web.clone()
    };
    configuration(vec![web, mail])
}

/// The row of a backend's replies.
fn reply(host: &Host, address: &str) -> Option<(u16, u16)> {
    let replies = host.maps.memory().replies.clone();
    let found = replies
        .values()
        .find(|(key, _)| crate::net::from_abi(&key.address).to_string() == address);
    found.map(|(_, reply)| (reply.port, reply.shared))
}

/// Addresses of backends that are alive and marked as shared.
fn shared(host: &Host) -> Vec<String> {
    let memory = host.maps.memory();
    let marked = |row: &&Row| row.is(Row::SHARED) && row.is(Row::ALIVE);
    let rows = memory.backends.values().filter(marked);
    rows.map(|row| crate::net::from_abi(&row.address).to_string())
        .collect()
}

#[test]
fn a_backend_that_gets_a_second_service_answers_without_a_record_for_the_first() {
    let host = Host::new();
    drop(
        host.start(&web_and_mail(service(), &["10.0.3.1"]))
            .expect("starts"),
    );
    assert_eq!(reply(&host, "10.0.0.2"), Some((80, 0)));
    assert_eq!(shared(&host), [""; 0]);
    // Whatever stands first in the file.
    let mut both = web_and_mail(service(), &["10.0.3.1", "10.0.0.2"]);
    both.services.reverse();
    drop(host.start(&both).expect("starts"));
    assert_eq!(reply(&host, "10.0.0.2"), Some((80, 1)));
    assert_eq!(reply(&host, "10.0.0.1"), Some((80, 0)));
    assert_eq!(shared(&host), ["10.0.0.2", "10.0.0.2"]);
    // Another protocol is another backend.
    let mut udp = web_and_mail(service(), &["10.0.3.1"]);
    udp.services[1].protocol = Protocol::Udp;
    udp.services[1].versions[0] = version("blue", &["10.0.0.2"]);
    let fresh = Host::new();
    drop(fresh.start(&udp).expect("starts"));
    assert_eq!(shared(&fresh), [""; 0]);
}

#[test]
fn a_backend_that_moves_is_shared_until_it_has_drained() {
    let host = Host::new();
    let smaller = || Service {
        versions: vec![
            version("blue", &["10.0.0.1"]),
            version("green", &["10.0.1.1", "10.0.1.2"]),
        ],
        ..service()
    };
    drop(
        host.start(&web_and_mail(service(), &["10.0.3.1"]))
            .expect("starts"),
    );
    let moved = web_and_mail(smaller(), &["10.0.3.1", "10.0.0.2"]);
    let mut core = host.start(&moved).expect("starts");
    assert_eq!(
        reply(&host, "10.0.0.2"),
        Some((80, 1)),
        "old flows may be on it"
    );
    assert_eq!(shared(&host).len(), 2);
    host.pass(&mut core, 60);
    assert_eq!(reply(&host, "10.0.0.2"), Some((25, 0)), "only mail has it");
    assert_eq!(shared(&host), [""; 0]);
    assert_eq!(host.maps.memory().replies.len(), 5);
    assert_eq!(host.maps.memory().nat.len(), 5);
}

#[test]
fn records_of_a_service_that_is_forgotten_are_freed() {
    let host = Host::new();
    let both = web_and_mail(service(), &["10.0.0.2"]);
    let index = host.start(&both).expect("starts").services[1].index as u16;
    let record = |backend| Record {
        kind: Kind::Confirmed,
        closing: false,
        tag: 5,
        backend,
        deadline: tick(host.now_ns()),
        low: 25 << 16,
    };
    for (entry, backend) in [index, index + 1].into_iter().enumerate() {
        let (a, b) = record(backend).pack();
        host.maps.memory().reverse[7].words[2 * entry..][..2].copy_from_slice(&[a, b]);
    }
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.pass(&mut core, 20);
    let words = host.maps.memory().reverse[7].words;
    assert_eq!((words[0], words[2] != 0), (0, true));
}

#[test]
fn a_service_taken_out_passes_and_is_forgotten_when_its_flows_are_over() {
    let host = Host::new();
    let other = Service {
        name: "mail".to_owned(),
        ports: Ports::one(25).expect("a port"),
        versions: vec![version("blue", &["10.0.3.1"])],
        weights: Weights::all_to(0, 1),
        ..service()
    };
    let both = configuration(vec![service(), other.clone()]);
    let index = host.start(&both).expect("starts").services[1].index;
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    assert_eq!(host.maps.memory().keys.len(), 1);
    assert_eq!(host.kept().len(), 2);
    assert_ne!(
        host.maps.service(index).expect("a row").in_use,
        0,
        "comes back as it was"
    );
    host.pass(&mut core, 20);
    assert_eq!(host.maps.service(index).expect("a row").in_use, 0);
    drop(core);
    assert_eq!(host.kept(), ["tcp 203.0.113.10:80"]);
    assert_eq!(host.start(&both).expect("starts").services[1].index, index);
}

#[test]
fn a_kill_while_a_service_is_forgotten_leaves_no_backend_to_the_next_one() {
    let host = Host::new();
    let mail = |addresses| Service {
        name: "mail".to_owned(),
        ports: Ports::one(25).expect("a port"),
        versions: vec![version("blue", addresses)],
        weights: Weights::all_to(0, 1),
        ..service()
    };
    let old = mail(&["10.0.3.1", "10.0.3.2", "10.0.3.3"]);
    let new = Service {
        ports: Ports::one(26).expect("a port"),
        ..mail(&["10.0.4.1"])
    };
    let first = host
        .start(&configuration(vec![service(), old]))
        .expect("starts")
        .services[1]
        .row
        .first_backend;
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.pass(&mut core, 11);
    host.wait(5 * SECOND);
    host.maps.die_after(1);
    core.tick().expect_err("killed after the service's row");
    drop(core);
    let alive = |number: u32| {
        let row = host.maps.backend(first + number).expect("a row");
        row.is(Row::ALIVE)
    };
    assert!(alive(0) && alive(1) && alive(2), "left behind");

    let both = configuration(vec![service(), new]);
    let core = host.start(&both).expect("starts");
    assert_eq!(core.services[1].row.first_backend, first);
    assert_eq!(
        host.kept(),
        ["tcp 203.0.113.10:26", "tcp 203.0.113.10:80"],
        "what is neither configured nor pinned is dropped"
    );
    assert!(alive(0) && !alive(1) && !alive(2));
    drop(core);
    let core = host.start(&both).expect("starts again");
    let leaving = |(_, number)| matches!(number, Number::Leaving(..));
    assert!(!core.services[1].numbers.iter().any(leaving));
}

#[test]
fn what_would_re_hash_is_refused_and_nothing_is_written() {
    let host = Host::new();
    drop(host.start(&configuration(vec![service()])).expect("starts"));
    let writes = host.maps.memory().writes;
    let changed = [
        (
            "slots",
            Service {
                slots: 128,
                ..service()
            },
        ),
        (
            "affinity",
            Service {
                affinity: Affinity::Client,
                ..service()
            },
        ),
        (
            "mode",
            Service {
                mode: Mode::Dsr,
                ..service()
            },
        ),
    ];
    for (what, service) in changed {
        let error = host
            .start(&configuration(vec![service]))
            .err()
            .expect("refused");
        assert!(error.to_string().contains(what), "{error}");
    }
    let mut other = configuration(vec![service()]);
    other.daemon.seed = Some(Seed([9, 9]));
    let error = host.start(&other).err().expect("refused");
    assert!(error.to_string().contains("daemon.seed"), "{error}");
    assert_eq!(host.maps.memory().writes, writes);
}
