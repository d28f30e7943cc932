//! Tests of the core on maps in memory: whole lives of a daemon, with time as it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use splitter_common::abi::{Backend as Row, SlotState, SlotWord, Traffic};
use splitter_common::datapath::flow_table::{Kind, Record, tick};
use tempfile::TempDir;

use super::clock::Now;
use super::core::{Core, ROUND_NS};
use super::error::StartError;
use super::numbers::Number;
use super::store::Store;
use crate::api::RequestError;
use crate::api::types::SetWeights;
use crate::dataplane::Dataplane as _;
use crate::dataplane::fake::Fake;
use crate::model::{
    Affinity, Announce, Backend, Configuration, DaemonSettings, Mode, Protocol, Seed, Service,
    Version, Weights, XdpMode,
};

const SECOND: u64 = 1_000_000_000;
const SLOTS: u32 = 64;

/// A host: what outlives daemons.
struct Host {
    maps: Fake,
    folder: TempDir,
    now_ns: u64,
}

impl Host {
    fn new() -> Self {
        Self {
            maps: Fake::new(1024, 64),
            folder: tempfile::tempdir().expect("temporary folder"),
            now_ns: 1_000 * SECOND,
        }
    }

    fn now(&self) -> Now {
        let wall = Timestamp::UNIX_EPOCH + Duration::from_nanos(self.now_ns);
        Now {
            ns: self.now_ns,
            wall,
        }
    }

    fn start(&self, configuration: &Configuration) -> Result<Core<Fake>, StartError> {
        self.maps.revive();
        let store = Store::open(self.folder.path())?;
        Core::start(self.maps.clone(), store, configuration, self.now())
    }

    /// Lets time pass in rounds.
    fn pass(&mut self, core: &mut Core<Fake>, seconds: u64) {
        self.pass_by(core, seconds, ROUND_NS);
    }

    fn pass_by(&mut self, core: &mut Core<Fake>, seconds: u64, step_ns: u64) {
        let end = self.now_ns + seconds * SECOND;
        while self.now_ns < end {
            self.now_ns += step_ns;
            core.tick(self.now()).expect("maps can be written");
        }
    }

    fn words(&self) -> Vec<SlotWord> {
        self.maps.memory().slots[..SLOTS as usize].to_vec()
    }
}

fn version(name: &str, addresses: &[&str]) -> Version {
    Version {
        name: name.to_owned(),
        backends: addresses
            .iter()
            .map(|address| Backend {
                address: address.parse().expect("an address"),
                port: 8080,
                weight: 1,
            })
            .collect(),
    }
}

fn service() -> Service {
    Service {
        name: "web".to_owned(),
        vip: "203.0.113.10".parse().expect("an address"),
        port: 80,
        protocol: Protocol::Tcp,
        mode: Mode::Nat,
        affinity: Affinity::Flow,
        announce: Announce::None,
        slots: SLOTS,
        stable: "blue".to_owned(),
        prepare: Duration::from_secs(3),
        drain_idle: Duration::from_secs(10),
        versions: vec![
            version("blue", &["10.0.0.1", "10.0.0.2"]),
            version("green", &["10.0.1.1", "10.0.1.2"]),
        ],
        weights: Weights::all_to(0, 2),
    }
}

fn configuration(services: Vec<Service>) -> Configuration {
    Configuration {
        daemon: DaemonSettings {
            interfaces: vec!["eth0".to_owned()],
            xdp_mode: XdpMode::Auto,
            socket: "/nowhere".into(),
            state_dir: "/nowhere".into(),
            bpffs: "/nowhere".into(),
            max_slots: 1024,
            flow_records: 256,
            seed: None,
        },
        services,
        origin: crate::model::Origin::default(),
    }
}

fn weights(blue: f64, green: f64) -> SetWeights {
    SetWeights {
        weights: BTreeMap::from([("blue".to_owned(), blue), ("green".to_owned(), green)]),
        now: false,
        dry_run: false,
    }
}

fn owners(core: &Core<Fake>) -> Vec<u16> {
    core.services[0]
        .wishes
        .iter()
        .map(|wish| wish.owner)
        .collect()
}

fn at_rest(words: &[SlotWord]) -> bool {
    words.iter().all(|word| word.state() == SlotState::Steady)
}

#[test]
fn first_start_is_at_rest_on_the_stable_version() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    assert!(at_rest(&host.words()));
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.transition, None);
    assert_eq!((view.versions[0].slots, view.versions[1].slots), (64, 0));
    assert_eq!(view.versions[0].set_percent, 100.0);
    let memory = host.maps.memory();
    assert_eq!(memory.keys.len(), 1);
    assert_eq!(memory.replies.len(), 4, "a reply for each backend");
    assert_eq!(memory.vips.len(), 1);
}

#[test]
fn a_change_is_a_transition_that_ends_at_the_plan() {
    let mut host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let before = host.words();
    let dry = SetWeights {
        dry_run: true,
        ..weights(50.0, 50.0)
    };
    let planned = core.change("web", &dry, host.now()).expect("plausible");
    assert_eq!(host.words(), before, "a dry run writes nothing");
    let done = core
        .change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    assert_eq!(done.slots_moved, 32);
    assert_eq!(done.established_flows_moved, 0);
    assert_eq!(done.holds_in_seconds, 3.0);
    assert_eq!(done.after["green"], 50.0);
    assert_eq!(planned.slots_moved, done.slots_moved);

    let words = host.words();
    let moved = words
        .iter()
        .filter(|w| w.state() == SlotState::Track)
        .count();
    assert_eq!(moved, 32);
    for (old, new) in before.iter().zip(&words) {
        assert_eq!(old.base(), new.base(), "flows without a record stay");
    }
    let view = core.service_view(0, host.now()).expect("a view");
    let transition = view.transition.expect("under way");
    assert_eq!(transition.began, host.now().wall);
    assert_eq!(transition.track, 32);

    host.pass(&mut core, 60);
    let words = host.words();
    assert!(at_rest(&words));
    let settled: Vec<u16> = words.iter().map(|w| w.base()).collect();
    assert_eq!(settled, owners(&core));
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.transition, None);
    assert!(!core.is_moving());
}

#[test]
fn a_kill_between_any_two_writes_is_made_good() {
    // Coarse time: there are hundreds of lives to live.
    const STEP: u64 = 2 * SECOND;
    // What an undisturbed life comes to.
    let mut host = Host::new();
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
        let mut host = Host::new();
        host.maps.die_after(deadly);
        let store = Store::open(host.folder.path()).expect("free");
        let mut changed = false;
        if let Ok(mut core) = Core::start(host.maps.clone(), store, &seeded, host.now()) {
            changed = core.change("web", &weights(50.0, 50.0), host.now()).is_ok();
            while host.now_ns < 1_060 * SECOND && core.tick(host.now()).is_ok() {
                host.now_ns += STEP;
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
    let mut host = Host::new();
    let configuration = configuration(vec![service()]);
    let mut core = host.start(&configuration).expect("starts");
    core.change("web", &weights(90.0, 10.0), host.now())
        .expect("plausible");
    let began = host.now().wall;
    host.pass(&mut core, 1);
    let (words, writes) = (host.words(), host.maps.memory().writes);
    drop(core);
    host.now_ns += 5 * SECOND;
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
fn the_measured_share_counts_from_when_the_weights_held() {
    let mut host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let shake = |maps: &Fake, number: u32, handshakes: u64| {
        let traffic = Traffic {
            handshakes,
            ..Traffic::default()
        };
        maps.memory().traffic.insert(number, traffic);
    };
    shake(&host.maps, 0, 1_000);
    core.change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    shake(&host.maps, 0, 1_100);
    host.pass(&mut core, 4);
    shake(&host.maps, 0, 1_130);
    shake(&host.maps, 2, 30);
    drop(core);
    let mut core = host
        .start(&configuration(vec![service()]))
        .expect("starts again");
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.versions[0].samples, 30, "not those of before it held");
    assert_eq!(view.versions[1].samples, 30);
    assert_eq!(view.versions[0].measured_percent, Some(50.0));
}

#[test]
fn damaged_state_leaves_the_slots_as_they_are() {
    let mut host = Host::new();
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
    let mut host = Host::new();
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
        record.low = tick(host.now_ns);
        record.deadline = tick(host.now_ns + 10 * SECOND);
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

#[test]
fn a_service_taken_out_passes_and_is_forgotten_when_its_flows_are_over() {
    let mut host = Host::new();
    let other = Service {
        name: "mail".to_owned(),
        port: 25,
        versions: vec![version("blue", &["10.0.3.1"])],
        weights: Weights::all_to(0, 1),
        ..service()
    };
    let both = configuration(vec![service(), other.clone()]);
    let index = host.start(&both).expect("starts").services[1].index;
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    assert_eq!(host.maps.memory().keys.len(), 1);
    assert_ne!(
        host.maps.service(index).expect("a row").in_use,
        0,
        "comes back as it was"
    );
    host.pass(&mut core, 20);
    assert_eq!(host.maps.service(index).expect("a row").in_use, 0);
    drop(core);
    assert_eq!(host.start(&both).expect("starts").services[1].index, index);
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

#[test]
fn wrong_requests_change_nothing() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let writes = host.maps.memory().writes;
    let mut ask = |name: &str, weights: SetWeights| core.change(name, &weights, host.now());
    assert!(matches!(
        ask("mail", weights(50.0, 50.0)),
        Err(RequestError::NotFound(_))
    ));
    assert!(matches!(
        ask("web", weights(50.0, 49.0)),
        Err(RequestError::Invalid(_))
    ));
    assert!(matches!(
        ask("web", weights(99.999, 0.001)),
        Err(RequestError::Invalid(_))
    ));
    // Less than one of 64 slots.
    assert!(matches!(
        ask("web", weights(99.99, 0.01)),
        Err(RequestError::Invalid(_))
    ));
    let mut purple = weights(50.0, 0.0);
    purple.weights.insert("purple".to_owned(), 50.0);
    assert!(matches!(ask("web", purple), Err(RequestError::Invalid(_))));
    assert_eq!(host.maps.memory().writes, writes);
}

#[test]
fn udp_follows_at_once() {
    let host = Host::new();
    let udp = Service {
        protocol: Protocol::Udp,
        ..service()
    };
    let mut core = host.start(&configuration(vec![udp])).expect("starts");
    let view = core
        .change("web", &weights(0.0, 100.0), host.now())
        .expect("plausible");
    assert_eq!(view.holds_in_seconds, 0.0);
    assert!(at_rest(&host.words()));
    assert_eq!(
        host.words().iter().map(|w| w.base()).collect::<Vec<_>>(),
        owners(&core)
    );
}

#[test]
fn explain_names_both_owners_in_a_transition() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let client = "198.51.100.7".parse().expect("an address");
    let rest = core
        .explain("web", client, Some(4000), host.now())
        .expect("explained");
    assert_eq!(rest.state, "steady");
    assert_eq!(rest.established, rest.base);
    assert_eq!(rest.new_flow.as_ref(), Some(&rest.base));
    let now = SetWeights {
        now: true,
        ..weights(0.0, 100.0)
    };
    core.change("web", &now, host.now()).expect("plausible");
    let moving = core
        .explain("web", client, Some(4000), host.now())
        .expect("explained");
    assert_eq!(moving.slot, rest.slot);
    assert_eq!(moving.state, "track");
    assert_eq!(moving.established, rest.base);
    let new = moving.new_flow.expect("not dropped");
    assert_eq!(new, moving.current);
    assert_eq!(new.version.as_deref(), Some("green"));
    assert!(
        core.explain("web", client, None, host.now()).is_err(),
        "the port matters"
    );
}
