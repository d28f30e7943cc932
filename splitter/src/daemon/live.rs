//! A service in force.

use std::time::Duration;

use splitter_common::abi::{Service as Row, SlotState, SlotWord, Stamps};
use splitter_common::datapath::flow_table::PENDING_SPARE_NS;

use super::core::ROUND_NS;
use super::identity::{BackendId, key_name, key_of_row};
use super::numbers::Numbers;
use super::routes::{LiveRoute, RoutedRow};
use crate::dataplane::{Dataplane, DataplaneError};
use crate::model::{Flows, Prefix, Protocol, Seed, Service, Weights};
use crate::plan::{self, Member, PlaceError, Placement, Share};
use crate::transition::{Cell, SlotWrite, Timers, Wish};

/// A service in force.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// As configured.
    pub(super) service: Service,
    /// Index in `SERVICES`.
    pub(super) index: u32,
    /// As it stands in `SERVICES`.
    pub(super) row: Row,
    /// What its backend numbers stand for.
    pub(super) numbers: Numbers,
    /// Weights in force; none where they were lost and the slots go on as they are.
    pub(super) weights: Option<Weights>,
    /// What is wanted of each slot of the default row.
    pub(super) wishes: Vec<Wish>,
    /// Its routes.
    pub(super) routes: Vec<LiveRoute>,
    /// The rows of its routes.
    pub(super) rows: Vec<RoutedRow>,
    /// Prefixes that the file routes and that were removed by hand.
    pub(super) unrouted: Vec<Prefix>,
    /// Whether a slot may not be at rest, or not as wished.
    pub(super) moving: bool,
    /// When the baseline of the measured share is to be taken again, nanoseconds.
    pub(super) rebase_at: Option<u64>,
}

/// `SERVICES`' times, from the configuration. What the file does not say follows from what it says:
/// `T_pending` > `D` and `T_fin` ≥ `D` must hold.
pub(super) fn write_times(row: &mut Row, service: &Service) {
    const SECOND: u64 = 1_000_000_000;
    row.prepare_ns = nanos(service.prepare);
    row.flows = service.flows as u8;
    row.record_ns = nanos(service.drain_idle);
    // `D` and at least 3 s before a pending record gives way.
    row.pending_ns = PENDING_SPARE_NS + row.prepare_ns.max(3 * SECOND);
    row.fin_ns = (6 * SECOND).max(row.prepare_ns);
    row.window = 32 * 1024;
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

impl Live {
    /// Its name in the state file.
    pub(super) fn state_key(&self) -> String {
        key_name(&key_of_row(&self.row))
    }

    pub(super) fn timers(&self) -> Timers {
        Timers::of_idle(self.row.record_ns)
    }

    pub(super) fn slots(&self) -> u32 {
        self.row.slot_mask + 1
    }

    /// Words of the default row.
    pub(super) fn words<D: Dataplane>(
        &self,
        dataplane: &D,
    ) -> Result<Vec<SlotWord>, DataplaneError> {
        self.words_of(dataplane, self.row.first_slot)
    }

    /// Words of a row.
    pub(super) fn words_of<D: Dataplane>(
        &self,
        dataplane: &D,
        first_slot: u32,
    ) -> Result<Vec<SlotWord>, DataplaneError> {
        let slots = first_slot..first_slot + self.slots();
        slots.map(|at| dataplane.slot(at)).collect()
    }

    /// Stamps of a row.
    pub(super) fn stamps_of<D: Dataplane>(
        &self,
        dataplane: &D,
        first_slot: u32,
    ) -> Result<Vec<Stamps>, DataplaneError> {
        let slots = first_slot..first_slot + self.slots();
        slots.map(|at| dataplane.stamps(at)).collect()
    }

    /// Words of all rows, the default one first.
    pub(super) fn all_words<D: Dataplane>(
        &self,
        dataplane: &D,
    ) -> Result<Vec<SlotWord>, DataplaneError> {
        let mut words = Vec::new();
        for (first_slot, _) in self.all_rows() {
            words.extend(self.words_of(dataplane, first_slot)?);
        }
        Ok(words)
    }

    /// First slot of every row and what is wanted of it, the default one first.
    pub(super) fn all_rows(&self) -> impl Iterator<Item = (u32, &[Wish])> {
        let routed = self.rows.iter().map(|row| (row.first_slot, &*row.wishes));
        std::iter::once((self.row.first_slot, &*self.wishes)).chain(routed)
    }

    /// Carries out one write of a round of the row at `first_slot` while `in_time` says that its judgement still holds; returns whether it was
    /// carried out. Between any two cells it may stop.
    pub(super) fn carry_out<D: Dataplane>(
        &self,
        dataplane: &mut D,
        first_slot: u32,
        write: &SlotWrite,
        in_time: &impl Fn() -> bool,
    ) -> Result<bool, DataplaneError> {
        let slot = first_slot + write.slot;
        for cell in write.cells() {
            if !in_time() {
                return Ok(false);
            }
            match cell {
                Cell::Stamp(stamp, ns) => dataplane.set_stamp(slot, stamp, ns)?,
                Cell::Word(word) => dataplane.set_slot(slot, word)?,
            }
        }
        Ok(true)
    }

    /// Whether the slots of the default row are at rest where they are wanted.
    pub(super) fn is_settled(&self, words: &[SlotWord]) -> bool {
        settled(words, &self.wishes)
    }

    /// Whether the slots of all rows are.
    pub(super) fn is_all_settled<D: Dataplane>(
        &self,
        dataplane: &D,
    ) -> Result<bool, DataplaneError> {
        for (first_slot, wishes) in self.all_rows() {
            if !settled(&self.words_of(dataplane, first_slot)?, wishes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The owner of every slot under `weights`.
    pub(super) fn place(&self, weights: &Weights, seed: Seed) -> Result<Vec<u16>, PlaceFailure> {
        let shares: Vec<Share<'_>> = self
            .service
            .versions
            .iter()
            .zip(weights.shares())
            .map(|(version, share)| Share {
                version: &version.name,
                basis_points: share.0,
                members: version
                    .backends
                    .iter()
                    .filter_map(|backend| {
                        let id = BackendId::of(backend);
                        Some(Member {
                            identity: (id.address, id.port),
                            weight: backend.weight,
                            number: self.numbers.of(&id)?,
                        })
                    })
                    .collect(),
            })
            .collect();
        match plan::place(self.slots(), seed, &shares)? {
            Placement::Assigned(owners) => Ok(owners),
            Placement::AllWeightsZero => Err(PlaceFailure::Nowhere),
            Placement::NoBackend { version } => Err(PlaceFailure::NoBackend(version)),
        }
    }

    /// New flows shall go to `owners`.
    pub(super) fn wish(&mut self, owners: &[u16], at_once: bool) {
        self.wishes = owners
            .iter()
            .map(|owner| Wish {
                owner: *owner,
                at_once,
            })
            .collect();
        self.moving = true;
    }

    /// How long after a change new flows follow it, where no flood is in its way; `at_once`: with `--now`.
    pub(super) fn holds_in(&self, at_once: bool) -> Duration {
        match (self.service.protocol, self.service.flows) {
            (Protocol::Udp, Flows::Hash) => Duration::ZERO,
            // They follow in HANDOVER, which `--now` does not bring nearer: new flows are known by what is learned first.
            (Protocol::Udp, Flows::Track) => {
                let timers = self.timers();
                Duration::from_nanos(timers.idle_ns + timers.margin_ns + ROUND_NS)
            }
            _ if at_once => Duration::ZERO,
            _ => self.service.prepare,
        }
    }
}

/// Whether the slots of a row are at rest where they are wanted.
pub(super) fn settled(words: &[SlotWord], wishes: &[Wish]) -> bool {
    words
        .iter()
        .zip(wishes)
        .all(|(word, wish)| word.state() == SlotState::Steady && word.base() == wish.owner)
}

/// How many slots are with each backend number of a service, counted in one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotCounts {
    current: Vec<u32>,
    base: Vec<u32>,
}

impl SlotCounts {
    pub(super) fn of(words: &[SlotWord]) -> Self {
        let numbers = words.iter().flat_map(|word| [word.current(), word.base()]);
        let length = numbers.max().map_or(0, |most| usize::from(most) + 1);
        let mut counts = Self {
            current: vec![0; length],
            base: vec![0; length],
        };
        for word in words {
            counts.current[usize::from(word.current())] += 1;
            counts.base[usize::from(word.base())] += 1;
        }
        counts
    }

    /// Slots whose new flows go to a number.
    pub(super) fn current(&self, number: u16) -> u32 {
        at(&self.current, number)
    }

    /// Slots whose flows without a record belong to a number.
    pub(super) fn base(&self, number: u16) -> u32 {
        at(&self.base, number)
    }
}

fn at(counts: &[u32], number: u16) -> u32 {
    counts.get(usize::from(number)).copied().unwrap_or(0)
}

/// Why there is no owner for every slot.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceFailure {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("all weights are 0: new flows would go nowhere")]
    Nowhere,
    #[error("version \"{0}\" has a weight but no backend that could take flows")]
    NoBackend(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_by_both_backends() {
        let words = [
            SlotWord::steady(3),
            SlotWord::new(SlotState::Track, 3, 1),
            SlotWord::new(SlotState::Handover, 0, 1),
        ];
        let counts = SlotCounts::of(&words);
        assert_eq!([0, 1, 2, 3, 4].map(|n| counts.current(n)), [0, 2, 0, 1, 0]);
        assert_eq!([0, 1, 2, 3, 4].map(|n| counts.base(n)), [1, 0, 0, 2, 0]);
        assert_eq!(SlotCounts::of(&[]).current(0), 0);
    }
}
