//! Tests of the core on maps in memory: whole lives of a daemon, with time as it is told.

mod change;
mod network;
mod restart;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use splitter_common::abi::{SlotState, SlotWord};
use tempfile::TempDir;

use super::clock::Now;
use super::core::{Core, ROUND_NS};
use super::error::StartError;
use super::store::Store;
use crate::api::types::SetWeights;
use crate::dataplane::fake::Fake;
use crate::model::{
    Affinity, Announce, Backend, Configuration, DaemonSettings, Mode, Protocol, Service, Version,
    Weights, XdpMode,
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
