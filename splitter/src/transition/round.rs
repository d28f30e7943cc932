//! A round: a step for each slot of a service, as a list of writes.

use super::{Change, Timers, Wish, step};
use splitter_common::abi::{SlotWord, Stamp, Stamps};

/// What a step writes to one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWrite {
    /// Number of the slot, counted from the first of the slices given to [`round`].
    pub slot: u32,
    /// Its new stamps and word.
    pub change: Change,
}

/// One store to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// To a stamp.
    Stamp(Stamp, u64),
    /// To the word, with release ordering: the stamps above it are seen before it.
    Word(SlotWord),
}

impl SlotWrite {
    /// The stores in the order in which they must be made.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let Change {
            unlogged,
            bare_syn,
            foreign,
            word,
        } = self.change;
        [
            unlogged.map(|ns| Cell::Stamp(Stamp::Unlogged, ns)),
            bare_syn.map(|ns| Cell::Stamp(Stamp::BareSyn, ns)),
            foreign.map(|ns| Cell::Stamp(Stamp::Foreign, ns)),
            Some(Cell::Word(word)),
        ]
        .into_iter()
        .flatten()
    }
}

/// The writes of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The time that the stamps carry and the judgements rest on.
    pub computed_ns: u64,
    /// At most one for each slot.
    pub writes: Vec<SlotWrite>,
}

impl Round {
    /// Whether it is too late to carry the round out: its writer was stopped since it was computed (a debugger, a
    /// suspended machine), so its stamps would claim that slots were silent in between. Compute another.
    pub fn is_stale(&self, timers: &Timers, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.computed_ns) > timers.margin_ns / 2
    }
}

/// Takes a step for each slot. `words`, `stamps` and `wishes` go index for index; `now_ns` is read before they are.
pub fn round(
    words: &[SlotWord],
    stamps: &[Stamps],
    wishes: &[Wish],
    tracked: bool,
    timers: &Timers,
    now_ns: u64,
    alive: &dyn Fn(u16) -> bool,
) -> Round {
    let writes = words
        .iter()
        .zip(stamps)
        .zip(wishes)
        .zip(0..)
        .filter_map(|(((word, stamps), wish), slot)| {
            step(*word, stamps, *wish, tracked, timers, now_ns, alive)
                .map(|change| SlotWrite { slot, change })
        })
        .collect();
    Round {
        computed_ns: now_ns,
        writes,
    }
}
