//! All state of the daemon, and what happens to it: start, changes of weights, ticks. No I/O but through the seams to
//! the maps and the state file; the time comes from a clock that is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use splitter_common::datapath::flow_table;

use super::census::Census;
use super::clock::{Clock, Now};
use super::error::StartError;
use super::identity::{key_name, key_of_row};
use super::install::forget_cleared;
use super::live::{Live, settled};
use super::replies;
use super::settings;
use super::start::{self, Judged, Removed};
use super::store::{Loaded, ServiceState, State, Store};
use crate::dataplane::{Attached, Dataplane, DataplaneError};
use crate::model::{Configuration, Seed};
use crate::net;
use crate::transition::round;

/// Time between two rounds while slots are in transition, nanoseconds.
pub(super) const ROUND_NS: u64 = 200_000_000;

/// All state of the daemon.
pub(super) struct Core<D> {
    pub(super) dataplane: D,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) state: State,
    pub(super) seed: Seed,
    pub(super) services: Vec<Live>,
    pub(super) removed: Vec<Removed>,
    /// See the configuration's `daemon.hairpin_source`.
    pub(super) hairpin_sources: Vec<IpAddr>,
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
        clock: Clock,
    ) -> Result<Self, StartError> {
        let now = clock();
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
        for (live, adopted) in &services {
            let kept = state.services.entry(live.state_key()).or_default();
            kept.name.clone_from(&live.service.name);
            forget_cleared(kept, live, *adopted, &dataplane)?;
            if let Some(weights) = &live.weights {
                kept.weights = names(live, weights.shares().iter().map(|share| share.0));
            } else {
                // Weights that are not known stay unknown.
                state.services.remove(&live.state_key());
            }
        }
        let known = services.iter().map(|(live, _)| live.state_key());
        let gone = removed.iter().map(|it| key_name(&key_of_row(&it.row)));
        let known: BTreeSet<String> = known.chain(gone).collect();
        state.services.retain(|key, _| known.contains(key));
        state.routes.retain(|key, _| known.contains(key));
        for (live, _) in &services {
            live.keep_routes(&mut state);
        }
        store.save(&state)?;
        let wanted = settings::settings(seed, &dataplane, &configuration.daemon);
        if settings != wanted {
            dataplane.set_settings(&wanted)?;
        }
        let mut core = Self {
            dataplane,
            store,
            clock,
            state,
            seed,
            services: Vec::new(),
            hairpin_sources: configuration.daemon.hairpin_source.clone(),
            removed,
            carriers: BTreeSet::new(),
            attached: Vec::new(),
            view: net::View::default(),
            view_due: false,
            started: now,
            census: None,
        };
        core.remove_strays(&services)?;
        let lives = services.iter().map(|(live, _)| live);
        let replies = replies::write(&mut core.dataplane, lives)?;
        for (live, adopted) in services {
            core.install(&live, adopted, &replies)?;
            core.services.push(live);
        }
        core.write_hairpin_sources()?;
        core.remove_leftovers(&replies)?;
        core.tend_routes(now)?;
        core.note_transitions(now)?;
        for live in &mut core.services {
            let kept = core.state.services.get(&live.state_key());
            if kept.is_some_and(|kept| !kept.baseline_settled && kept.changed.is_some()) {
                live.rebase_at = Some(now.ns + live.holds_in(false).as_nanos() as u64);
            }
        }
        Ok(core)
    }

    /// Keeps when transitions began, before their first write.
    pub(super) fn note_transitions(&mut self, now: Now) -> Result<(), StartError> {
        let mut changed = false;
        for live in &self.services {
            let settled = live.is_all_settled(&self.dataplane)?;
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

    /// One round for every service in transition, then a grace period: no slot is written twice within one. What a
    /// round that was held up leaves undone, another one does later: see [`Round::is_stale`].
    ///
    /// [`Round::is_stale`]: crate::transition::Round::is_stale
    pub(super) fn advance(&mut self) -> Result<(), DataplaneError> {
        let mut wrote = false;
        let due = |live: &&mut Live| live.moving && !live.is_unsettled();
        for live in self.services.iter_mut().filter(due) {
            let (mut settled_all, mut whole) = (true, true);
            for (first_slot, wishes) in live.all_rows() {
                // As late as it can be, but before what is judged: stamps claim that somebody watched since.
                let now_ns = (self.clock)().ns;
                let words = live.words_of(&self.dataplane, first_slot)?;
                if settled(&words, wishes) {
                    continue;
                }
                settled_all = false;
                let stamps = live.stamps_of(&self.dataplane, first_slot)?;
                let alive = |number| live.numbers.get(number).is_alive();
                let timers = live.timers();
                let round = round(
                    &words,
                    &stamps,
                    wishes,
                    live.service.is_tracked(),
                    &timers,
                    now_ns,
                    &alive,
                );
                let in_time = || !round.is_stale(&timers, (self.clock)().ns);
                for write in &round.writes {
                    wrote = true;
                    if !live.carry_out(&mut self.dataplane, first_slot, write, &in_time)? {
                        tracing::warn!(
                            service = live.service.name,
                            "was held up while it wrote slots; looks at them again"
                        );
                        whole = false;
                        break;
                    }
                }
            }
            live.moving = !settled_all;
            if whole {
                live.hurry_no_more();
            }
        }
        if wrote {
            self.dataplane.grace()?;
        }
        Ok(())
    }

    /// What is to be done from time to time, in transition or not.
    pub(super) fn tick(&mut self) -> Result<(), StartError> {
        self.advance()?;
        let now = (self.clock)();
        self.tend_routes(now)?;
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

    /// Completed handshakes of a service's backends, as the state file has them; of those that rest, too, since they
    /// may come back to their traffic.
    pub(super) fn baseline(&self, at: usize) -> Result<BTreeMap<String, u64>, DataplaneError> {
        let live = &self.services[at];
        let mut baseline = BTreeMap::new();
        for (number, meaning) in live.numbers.iter() {
            if let Some(id) = meaning.id() {
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
        for set in 0..self.dataplane.reverse_sets() {
            freed += flow_table::sweep(&self.dataplane.reverse_cells(set)?, now_ns);
        }
        tracing::debug!(freed, "swept the flow table and the reverse records");
        Ok(())
    }
}

/// Values by version name.
pub(super) fn names<T>(live: &Live, values: impl Iterator<Item = T>) -> BTreeMap<String, T> {
    let versions = live.service.versions.iter();
    versions.map(|v| v.name.clone()).zip(values).collect()
}

/// Fresh state of a service whose weights were just changed.
pub(super) fn changed(kept: &mut ServiceState, weights: BTreeMap<String, u16>, now: Now) {
    kept.weights = weights;
    kept.changed = Some(now.wall);
    kept.baseline_settled = false;
}
