//! Tests of the core on maps in memory: whole lives of a daemon, with time as it is told.

mod change;
mod held_up;
mod network;
mod ports;
mod restart;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use splitter_common::abi::{SlotState, SlotWord, Traffic};
use tempfile::TempDir;

use super::clock::{Clock, Now};
use super::core::{Core, ROUND_NS};
use super::error::StartError;
use super::store::Store;
use crate::api::types::SetWeights;
use crate::dataplane::fake::Fake;
use crate::model::{
    Affinity, Announce, Backend, Configuration, DaemonSettings, Flows, Mode, PerFamily, Ports,
    Protocol, Service, Version, Weights, XdpMode,
};

const SECOND: u64 = 1_000_000_000;
const SLOTS: u32 = 64;

/// A host: what outlives daemons.
struct Host {
    maps: Fake,
    folder: TempDir,
    time: Arc<Mutex<Time>>,
}

/// The clock of a host.
struct Time {
    ns: u64,
    /// What happens to the maps just before a clock is read for the so-many-th time from now, and how late it is then.
    ambush: Option<(u64, u64, Ambush)>,
}

type Ambush = Box<dyn FnOnce(&Fake) + Send>;

impl Host {
    fn new() -> Self {
        Self {
            maps: Fake::new(1024, 64),
            folder: tempfile::tempdir().expect("temporary folder"),
            time: Arc::new(Mutex::new(Time {
                ns: 1_000 * SECOND,
                ambush: None,
            })),
        }
    }

    fn now_ns(&self) -> u64 {
        self.time.lock().expect("no panic while it is held").ns
    }

    fn now(&self) -> Now {
        let ns = self.now_ns();
        let wall = Timestamp::UNIX_EPOCH + Duration::from_nanos(ns);
        Now { ns, wall }
    }

    /// Lets time pass without a tick.
    fn wait(&self, ns: u64) {
        self.time.lock().expect("no panic while it is held").ns += ns;
    }

    /// Stops the daemon for `ns` just before it reads the clock for the `reads`th time from now; meanwhile `ambush`
    /// happens.
    fn stop_before(&self, reads: u64, ns: u64, ambush: impl FnOnce(&Fake) + Send + 'static) {
        let mut time = self.time.lock().expect("no panic while it is held");
        time.ambush = Some((reads, ns, Box::new(ambush)));
    }

    fn clock(&self) -> Clock {
        let (time, maps) = (Arc::clone(&self.time), self.maps.clone());
        Box::new(move || {
            let mut time = time.lock().expect("no panic while it is held");
            match time.ambush.take() {
                Some((1, ns, ambush)) => {
                    time.ns += ns;
                    ambush(&maps);
                }
                Some((reads, ns, ambush)) => time.ambush = Some((reads - 1, ns, ambush)),
                None => {}
            }
            Now {
                ns: time.ns,
                wall: Timestamp::UNIX_EPOCH + Duration::from_nanos(time.ns),
            }
        })
    }

    fn start(&self, configuration: &Configuration) -> Result<Core<Fake>, StartError> {
        self.maps.revive();
        let store = Store::open(self.folder.path())?;
        Core::start(self.maps.clone(), store, configuration, self.clock())
    }

    /// Lets time pass in rounds.
    fn pass(&self, core: &mut Core<Fake>, seconds: u64) {
        self.pass_by(core, seconds, ROUND_NS);
    }

    fn pass_by(&self, core: &mut Core<Fake>, seconds: u64, step_ns: u64) {
        let end = self.now_ns() + seconds * SECOND;
        while self.now_ns() < end {
            self.wait(step_ns);
            core.tick().expect("maps can be written");
        }
    }

    /// A reboot: the maps are gone, the state file is not.
    fn reboot(&mut self) {
        self.maps = Fake::new(1024, 64);
    }

    /// So many handshakes were completed with a backend since its traffic was cleared.
    fn shake(&self, number: u32, handshakes: u64) {
        let traffic = Traffic {
            handshakes,
            ..Traffic::default()
        };
        self.maps.memory().traffic.insert(number, traffic);
    }

    /// Services of which the state file keeps something.
    fn kept(&self) -> Vec<String> {
        let text = std::fs::read(self.folder.path().join("state.json")).expect("readable");
        let file: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let services = file["state"]["services"].as_object().expect("an object");
        services.keys().cloned().collect()
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
        ports: Ports::one(80).expect("a port"),
        protocol: Protocol::Tcp,
        flows: Flows::Hash,
        mode: Mode::Nat,
        affinity: Affinity::Flow,
        client_prefix: None,
        announce: Announce::None,
        icmp_echo: false,
        slots: SLOTS,
        stable: "blue".to_owned(),
        prepare: Duration::from_secs(3),
        drain_idle: Duration::from_secs(10),
        versions: vec![
            version("blue", &["10.0.0.1", "10.0.0.2"]),
            version("green", &["10.0.1.1", "10.0.1.2"]),
        ],
        routes: Vec::new(),
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
            reverse_records: 1024,
            hairpin_source: Vec::new(),
            seed: None,
            tunnel_source: PerFamily::default(),
            icmp_source: PerFamily::default(),
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
