//! All state of the daemon, and what happens to it: start, changes of weights, ticks. No I/O but through the seams to
//! the maps and the state file; time is an argument.

use std::collections::{BTreeMap, BTreeSet};

use splitter_common::abi::{Backend, Mode, Reply, ReplyKey, SlotWord, Stamp, Vip};

use splitter_common::datapath::flow_table;

use super::census::Census;
use super::clock::Now;
use super::error::StartError;
use super::identity::{BackendId, key_of};
use super::live::Live;
use super::numbers::Number;
use super::start::{self, Judged, Removed};
use super::store::{Loaded, ServiceState, State, Store};
use crate::dataplane::{Attached, Dataplane, DataplaneError};
use crate::model::{Announce, Configuration, Seed};
use crate::net;
use crate::transition::round;

/// Time between two rounds while slots are in transition, nanoseconds.
pub(super) const ROUND_NS: u64 = 200_000_000;

/// All state of the daemon.
pub(super) struct Core<D> {
    pub(super) dataplane: D,
    pub(super) store: Store,
    pub(super) state: State,
    pub(super) seed: Seed,
    pub(super) services: Vec<Live>,
    pub(super) removed: Vec<Removed>,
    /// Indices of the interfaces that carry the program, or are going to.
    pub(super) carriers: BTreeSet<u32>,
    pub(super) attached: Vec<Attached>,
    pub(super) view: net::View,
    /// Whether the view is not, or not wholly, in the maps.
    pub(super) view_due: bool,
    pub(super) started: Now,
    pub(super) census: Option<Census>,
}

impl<D: Dataplane> Core<D> {
    /// Puts a configuration into force, going on from what is pinned and kept.
    pub(super) fn start(
        mut dataplane: D,
        store: Store,
        configuration: &Configuration,
        now: Now,
    ) -> Result<Self, StartError> {
        let mut state = match store.load()? {
            Loaded::Whole(state) => state,
            Loaded::Missing => State::default(),
            Loaded::Damaged(aside) => {
                tracing::error!(
                    set_aside = %aside.display(),
                    "state.json was damaged: services go on as their slots are"
                );
                State::default()
            }
        };
        let settings = dataplane.settings()?;
        let seed = start::seed(&settings, &state, configuration.daemon.seed)?;
        let Judged { services, removed } =
            start::judge(&dataplane, configuration, &state, seed, now.ns)?;

        // From here on things are written.
        state.set_seed(seed);
        for (live, _) in &services {
            let kept = state.services.entry(live.state_key()).or_default();
            kept.name.clone_from(&live.service.name);
            if let Some(weights) = &live.weights {
                kept.weights = names(live, weights.shares().iter().map(|share| share.0));
            } else {
                // Weights that are not known stay unknown.
                state.services.remove(&live.state_key());
            }
        }
        store.save(&state)?;
        let wanted = start::settings(seed, dataplane.flow_sets());
        if settings != wanted {
            dataplane.set_settings(&wanted)?;
        }
        let mut core = Self {
            dataplane,
            store,
            state,
            seed,
            services: Vec::new(),
            removed,
            carriers: BTreeSet::new(),
            attached: Vec::new(),
            view: net::View::default(),
            view_due: false,
            started: now,
            census: None,
        };
        for (live, adopted) in services {
            core.install(&live, adopted)?;
            core.services.push(live);
        }
        core.remove_leftovers()?;
        core.note_transitions(now)?;
        for live in &mut core.services {
            let kept = core.state.services.get(&live.state_key());
            if kept.is_some_and(|kept| !kept.baseline_settled && kept.changed.is_some()) {
                live.rebase_at = Some(now.ns + live.row.prepare_ns);
            }
        }
        Ok(core)
    }

    /// Writes a service in the order in which a packet, or a later start, may find it half done: what it refers to
    /// first, its key last.
    fn install(&mut self, live: &Live, adopted: bool) -> Result<(), DataplaneError> {
        for (number, meaning) in live.numbers.iter() {
            if let Number::Configured(id) = meaning {
                self.enliven(live, number, id)?;
            }
        }
        if !adopted {
            for (slot, wish) in (live.row.first_slot..).zip(&live.wishes) {
                for stamp in [Stamp::Unlogged, Stamp::BareSyn, Stamp::Foreign] {
                    self.dataplane.set_stamp(slot, stamp, 0)?;
                }
                self.dataplane
                    .set_slot(slot, SlotWord::steady(wish.owner))?;
            }
            self.dataplane.grace()?;
        }
        for (key, reply) in replies_of(live) {
            self.dataplane.set_reply(&key, Some(reply))?;
        }
        self.dataplane.set_service(live.index, &live.row)?;
        let announce = u32::from(live.service.announce == Announce::Arp);
        let vip = Vip { announce };
        self.dataplane.set_vip(&live.row.vip, Some(vip))?;
        self.dataplane
            .set_service_key(&key_of(&live.service), Some(live.index))
    }

    /// Makes a number stand for a backend; one that stood for it before keeps its next hop.
    fn enliven(&mut self, live: &Live, number: u16, id: BackendId) -> Result<(), DataplaneError> {
        let index = live.row.first_backend + u32::from(number);
        let old = self.dataplane.backend(index)?;
        let mut row = old;
        if (old.address, old.port) != (id.address, id.port) {
            row = Backend {
                address: id.address,
                port: id.port,
                ..Backend::default()
            };
            self.dataplane.clear_traffic(index)?;
        }
        row.flags |= Backend::ALIVE;
        if row != old {
            self.dataplane.set_backend(index, &row)?;
        }
        Ok(())
    }

    /// Takes keys, VIPs and replies out of force that no service of the configuration has.
    fn remove_leftovers(&mut self) -> Result<(), DataplaneError> {
        for removed in &self.removed {
            start::tell_removed(removed);
        }
        let keys: BTreeSet<_> = self.services.iter().map(|l| key_of(&l.service)).collect();
        for (key, _) in self.dataplane.service_keys()? {
            if !keys.contains(&key) {
                self.dataplane.set_service_key(&key, None)?;
            }
        }
        for (address, _) in self.dataplane.vips()? {
            if !keys.iter().any(|key| key.vip == address) {
                self.dataplane.set_vip(&address, None)?;
            }
        }
        let replies: Vec<ReplyKey> = self
            .services
            .iter()
            .flat_map(replies_of)
            .map(|(key, _)| key)
            .collect();
        for (key, _) in self.dataplane.replies()? {
            if !replies.contains(&key) {
                self.dataplane.set_reply(&key, None)?;
            }
        }
        Ok(())
    }

    /// Keeps when transitions began, before their first write.
    pub(super) fn note_transitions(&mut self, now: Now) -> Result<(), StartError> {
        let mut changed = false;
        for live in &self.services {
            let settled = live.is_settled(&live.words(&self.dataplane)?);
            let Some(kept) = self.state.services.get_mut(&live.state_key()) else {
                continue;
            };
            let began = match (settled, kept.began) {
                (true, _) => None,
                (false, Some(began)) => Some(began),
                (false, None) => Some(now.wall),
            };
            changed |= kept.began != began;
            kept.began = began;
        }
        if changed {
            self.store.save(&self.state)?;
        }
        Ok(())
    }

    /// Whether a slot may not be at rest.
    pub(super) fn is_moving(&self) -> bool {
        self.services.iter().any(|live| live.moving)
    }

    /// One round for every service in transition, then a grace period: no slot is written twice within one.
    pub(super) fn advance(&mut self, now_ns: u64) -> Result<(), DataplaneError> {
        let mut wrote = false;
        for live in self.services.iter_mut().filter(|live| live.moving) {
            let words = live.words(&self.dataplane)?;
            if live.is_settled(&words) {
                live.moving = false;
                continue;
            }
            let stamps = live.stamps(&self.dataplane)?;
            let alive = |number| live.numbers.get(number).is_alive();
            let timers = live.timers();
            let round = round(
                &words,
                &stamps,
                &live.wishes,
                live.service.protocol,
                &timers,
                now_ns,
                &alive,
            );
            for write in &round.writes {
                live.carry_out(&mut self.dataplane, write)?;
                wrote = true;
            }
        }
        if wrote {
            self.dataplane.grace()?;
        }
        Ok(())
    }

    /// What is to be done from time to time, in transition or not.
    pub(super) fn tick(&mut self, now: Now) -> Result<(), StartError> {
        self.advance(now.ns)?;
        self.settle_state(now)?;
        self.drain(now.ns)?;
        self.forget_removed(now.ns)?;
        Ok(())
    }

    /// Takes baselines of the measured share that are due, and forgets when transitions began that are over.
    fn settle_state(&mut self, now: Now) -> Result<(), StartError> {
        let mut changed = false;
        for at in 0..self.services.len() {
            let due = self.services[at].rebase_at.is_some_and(|due| now.ns >= due);
            let baseline = due.then(|| self.baseline(at)).transpose()?;
            let live = &mut self.services[at];
            let Some(kept) = self.state.services.get_mut(&live.state_key()) else {
                continue;
            };
            if let Some(baseline) = baseline {
                kept.baseline = baseline;
                kept.baseline_settled = true;
                live.rebase_at = None;
                changed = true;
            }
            if !live.moving && kept.began.is_some() {
                kept.began = None;
                changed = true;
            }
        }
        if changed {
            self.store.save(&self.state)?;
        }
        Ok(())
    }

    /// Completed handshakes of a service's backends, as the state file has them.
    pub(super) fn baseline(&self, at: usize) -> Result<BTreeMap<String, u64>, DataplaneError> {
        let live = &self.services[at];
        let mut baseline = BTreeMap::new();
        for (number, meaning) in live.numbers.iter() {
            if let Some(id) = meaning.id().filter(|_| meaning.is_alive()) {
                let index = live.row.first_backend + u32::from(number);
                baseline.insert(id.name(), self.dataplane.traffic(index)?.handshakes);
            }
        }
        Ok(baseline)
    }

    /// Frees records whose deadlines are long past, before their clock comes round.
    pub(super) fn sweep(&mut self, now_ns: u64) -> Result<(), DataplaneError> {
        let mut freed = 0;
        for set in 0..self.dataplane.flow_sets() {
            freed += flow_table::sweep(&self.dataplane.flow_cells(set)?, now_ns);
        }
        tracing::debug!(freed, "swept the flow table");
        Ok(())
    }
}

/// Values by version name.
pub(super) fn names<T>(live: &Live, values: impl Iterator<Item = T>) -> BTreeMap<String, T> {
    let versions = live.service.versions.iter();
    versions.map(|v| v.name.clone()).zip(values).collect()
}

pub(super) fn reply_key(live: &Live, id: BackendId) -> ReplyKey {
    ReplyKey {
        address: id.address,
        port: id.port,
        protocol: live.row.protocol,
        reserved: 0,
    }
}

/// What the replies of a service's backends become: of those that left the configuration, too, while they live.
pub(super) fn replies_of(live: &Live) -> Vec<(ReplyKey, Reply)> {
    if live.row.mode != Mode::Nat as u8 {
        return Vec::new();
    }
    let reply = Reply {
        vip: live.row.vip,
        port: live.row.port,
        reserved: 0,
    };
    live.numbers
        .iter()
        .filter(|(_, meaning)| meaning.is_alive())
        .filter_map(|(_, meaning)| Some((reply_key(live, meaning.id()?), reply)))
        .collect()
}

/// Fresh state of a service whose weights were just changed.
pub(super) fn changed(kept: &mut ServiceState, weights: BTreeMap<String, u16>, now: Now) {
    kept.weights = weights;
    kept.changed = Some(now.wall);
    kept.baseline_settled = false;
}
