//! Leaving: backends and services that the configuration no longer has, until their flows are over.

use splitter_common::abi::{Backend, Service as Row};
use splitter_common::datapath::flow_table;

use super::census::Census;
use super::core::Core;
use super::error::StartError;
use super::identity::{BackendId, key_name, key_of_row};
use super::live::Live;
use super::numbers::Number;
use super::replies;
use super::start::Removed;
use crate::dataplane::{Dataplane, DataplaneError};
use crate::transition::{DrainStage, Timers};

impl<D: Dataplane> Core<D> {
    /// Advances backends that left the configuration: named, unnamed, drained, resting, free.
    pub(super) fn drain(&mut self, now_ns: u64) -> Result<(), DataplaneError> {
        let leaves = |live: &Live| {
            let mut numbers = live.numbers.iter();
            numbers.any(|(_, n)| matches!(n, Number::Leaving(..) | Number::Resting(..)))
        };
        if !self.services.iter().any(leaves) {
            return Ok(());
        }
        // A grace period before words and records are read: see `DrainStage::advance`.
        self.dataplane.grace()?;
        let mut census: Option<Census> = None;
        let mut retired = false;
        for at in 0..self.services.len() {
            let live = &self.services[at];
            if !leaves(live) {
                continue;
            }
            let words = live.all_words(&self.dataplane)?;
            let first_backend = live.row.first_backend;
            let rest_ns = rest_ns(&live.row);
            let numbers = live.numbers.clone();
            let mut next = numbers.clone();
            for (number, meaning) in numbers.iter() {
                let index = first_backend + u32::from(number);
                next.0[usize::from(number)] = match meaning {
                    Number::Leaving(id, stage) => {
                        let named = words
                            .iter()
                            .any(|w| w.base() == number || w.current() == number);
                        if census.is_none() && !named {
                            census = Some(Census::take(&self.dataplane, now_ns)?);
                        }
                        let records = census.as_ref().map_or(0, |c| c.of(index).total());
                        match stage.advance(named, records) {
                            DrainStage::Drained => {
                                self.retire(at, number, id)?;
                                Number::Resting(id, now_ns)
                            }
                            stage => Number::Leaving(id, stage),
                        }
                    }
                    Number::Resting(_, since) if now_ns.saturating_sub(since) > rest_ns => {
                        self.dataplane.set_backend(index, &Backend::default())?;
                        Number::Free
                    }
                    other => other,
                };
            }
            retired |= self.services[at].numbers != next;
            self.services[at].numbers = next;
        }
        if retired {
            // Its replies are nobody's, or those of the other services that it has.
            let replies = replies::write(&mut self.dataplane, self.services.iter())?;
            replies::remove_others(&mut self.dataplane, &replies)?;
        }
        Ok(())
    }

    /// Nothing names the backend any more: it does not count, and its number rests.
    fn retire(&mut self, at: usize, number: u16, id: BackendId) -> Result<(), DataplaneError> {
        let live = &self.services[at];
        let index = live.row.first_backend + u32::from(number);
        let row = Backend {
            address: id.address,
            port: id.port,
            ..Backend::default()
        };
        self.dataplane.set_backend(index, &row)?;
        tracing::info!(
            service = self.services[at].service.name,
            backend = id.name(),
            "drained: no slot and no flow record names it; it may be stopped"
        );
        Ok(())
    }

    /// Frees what services that left the configuration held, once their records are over.
    pub(super) fn forget_removed(&mut self, now_ns: u64) -> Result<(), StartError> {
        let before = self.removed.len();
        let over =
            |removed: &Removed| now_ns.saturating_sub(removed.since_ns) > rest_ns(&removed.row);
        for at in (0..self.removed.len()).rev() {
            if !over(&self.removed[at]) {
                continue;
            }
            let Removed { index, row, .. } = self.removed[at];
            let key = key_of_row(&row);
            self.remove_routes(row.first_slot)?;
            self.dataplane.set_service(index, &Row::default())?;
            // Another service may get the index, and a reverse record says no more than that.
            for set in 0..self.dataplane.reverse_sets() {
                flow_table::forget(&self.dataplane.reverse_cells(set)?, index as u16);
            }
            for number in 0..row.backend_count {
                let backend = row.first_backend + number;
                if self.dataplane.backend(backend)? != Backend::default() {
                    self.dataplane.set_backend(backend, &Backend::default())?;
                }
            }
            self.state.services.remove(&key_name(&key));
            self.state.routes.remove(&key_name(&key));
            self.removed.remove(at);
        }
        if self.removed.len() < before {
            self.store.save(&self.state)?;
        }
        Ok(())
    }
}

/// How long a number rests: by then no record that names it counts any more.
fn rest_ns(row: &Row) -> u64 {
    row.record_ns.max(row.pending_ns) + Timers::MARGIN_NS
}
