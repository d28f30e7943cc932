//! The daemon's part of a transition: slot states, stamps and timers → writes. PURE: no I/O, no clock.
//!
//! ```text
//!                    other owner                     `unlogged` old
//!   ┌────────┐ ────────────────────► ┌───────┐ ────────────────────► ┌──────────┐
//!   │ STEADY │                       │ TRACK │ ◄──────────────────── │ HANDOVER │ ──┐ `unlogged` still old
//!   └────────┘ ◄──────────┐    ┌───► └───────┘  `unlogged` is young, └──────────┘   │ a period later:
//!       │     `foreign`   │    │ other  │       or another owner                    │ base := current
//!       │      old        │    │ owner  │ owner is base again (rolled back)          │
//!       │              ┌─────────┐ ◄────┘                                            │
//!       └────────────► │ RESIDUE │ ◄─────────────────────────────────────────────────┘
//!         base died    └─────────┘ ◄── base died, from any state: base := current
//! ```
//!
//! [`step`] is one arrow of one slot; [`round`](fn@round) takes a step for each slot of a service and yields the writes as data.
//! Whoever carries them out writes the cells in the order given, then waits until every program run that read an
//! older word has ended (a grace period: `membarrier`), and only then begins another round. All state is in the
//! maps, each step follows from what is read there, so stopping between any two writes is harmless: the next
//! daemon takes the step again.

mod drain;
mod round;
pub mod route;
mod summary;
#[cfg(test)]
mod table_test;

pub use drain::DrainStage;
pub use round::{Cell, Round, SlotWrite, round};
pub use summary::{Summary, summarise};

use splitter_common::abi::{SlotState, SlotWord, Stamps};

/// How long things must have been silent, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `T_idle` (`drain.idle`): a flow without a record that was silent for longer is over.
    pub idle_ns: u64,
    /// `T_record`: a record not refreshed for longer is over. At least `T_idle`.
    pub record_ns: u64,
    /// `δ`: what is added for coarse clocks and writes under way, at least 2 s.
    pub margin_ns: u64,
}

impl Timers {
    /// The least `δ`, which is also the default.
    pub const MARGIN_NS: u64 = 2_000_000_000;

    /// The timers of a service whose `drain.idle` is `idle_ns`.
    pub const fn of_idle(idle_ns: u64) -> Self {
        Self {
            idle_ns,
            record_ns: idle_ns,
            margin_ns: Self::MARGIN_NS,
        }
    }
}

/// What is wanted of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The backend that new flows shall go to.
    pub owner: u16,
    /// New flows follow at once (`--now`) instead of `prepare` later: handshakes under way may be lost, established
    /// flows are not. It is a wish for one round: repeated, it would lift what SYNs freeze that come later, too.
    pub at_once: bool,
}

/// What a step writes: stamps first, then the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// New value of `unlogged`.
    pub unlogged: Option<u64>,
    /// New value of `bare_syn`.
    pub bare_syn: Option<u64>,
    /// New value of `foreign`.
    pub foreign: Option<u64>,
    /// The new word.
    pub word: SlotWord,
}

impl Change {
    const fn to(word: SlotWord) -> Self {
        Self {
            unlogged: None,
            bare_syn: None,
            foreign: None,
            word,
        }
    }

    /// All flows without a record belong to `owner` from now on; records of others live on.
    const fn residue(owner: u16, now_ns: u64) -> Self {
        let mut change = Self::to(SlotWord::new(SlotState::Residue, owner, owner));
        change.foreign = Some(now_ns);
        change
    }
}

/// The next step of a slot, or none. `alive` tells whether a backend's flows and records count.
///
/// `tracked`: the service's flows are known in a transition; those of UDP with `flows = "hash"` are not.
///
/// Not more than one step a slot and grace period.
pub fn step(
    word: SlotWord,
    stamps: &Stamps,
    wish: Wish,
    tracked: bool,
    timers: &Timers,
    now_ns: u64,
    alive: &dyn Fn(u16) -> bool,
) -> Option<Change> {
    if !tracked {
        // No SYN tells new flows from old ones: they follow the table in force, and nothing is tracked.
        let settled = SlotWord::steady(wish.owner);
        return (word != settled).then(|| Change::to(settled));
    }
    let (base, current) = (word.base(), word.current());
    if !alive(base) {
        let heir = if alive(current) { current } else { wish.owner };
        // Without an heir the slot stays as it is: its flows are lost wherever they are sent.
        return alive(heir).then(|| Change::residue(heir, now_ns));
    }
    if wish.owner != current {
        return alive(wish.owner).then(|| begin_or_turn(word, wish, now_ns));
    }
    let unlogged_old = is_old(stamps.unlogged, timers.idle_ns, timers, now_ns);
    let next = |state| Some(Change::to(SlotWord::new(state, base, current)));
    match word.state() {
        SlotState::Track if current == base => next(SlotState::Residue),
        SlotState::Track if wish.at_once && stamps.bare_syn != 0 => {
            let mut lifted = Change::to(word);
            lifted.bare_syn = Some(0);
            Some(lifted)
        }
        SlotState::Track if unlogged_old => next(SlotState::Handover),
        SlotState::Handover if !unlogged_old => next(SlotState::Track),
        SlotState::Handover => Some(Change::residue(current, now_ns)),
        SlotState::Residue if is_old(stamps.foreign, timers.record_ns, timers, now_ns) => {
            next(SlotState::Steady)
        }
        SlotState::Steady | SlotState::Track | SlotState::Residue => None,
    }
}

/// New flows go to another owner: a transition begins, or one under way turns.
fn begin_or_turn(word: SlotWord, wish: Wish, now_ns: u64) -> Change {
    let mut change = Change::to(SlotWord::new(SlotState::Track, word.base(), wish.owner));
    if matches!(word.state(), SlotState::Steady | SlotState::Residue) {
        // Until now SYNs and packets left no trace: as far as the slot knows the last came just now.
        change.unlogged = Some(now_ns);
        change.bare_syn = Some(now_ns);
    }
    if wish.at_once {
        // As if no SYN were waiting for its answer.
        change.bare_syn = Some(0);
    }
    change
}

fn is_old(stamp_ns: u64, span_ns: u64, timers: &Timers, now_ns: u64) -> bool {
    now_ns.saturating_sub(stamp_ns) >= span_ns.saturating_add(timers.margin_ns)
}
