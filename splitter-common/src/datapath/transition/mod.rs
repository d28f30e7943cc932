//! Which backend a packet of a service goes to, also while its slot is in transition. See `docs/transitions.md`.
//!
//! * [`choose`] is what a packet does: one load of the slot word, and at rest nothing else.
//! * `decide` holds the rules: what is in the tables → where the packet goes and what is written. Those of UDP without
//!   any handshake are in `udp`.
//! * [`owner`] says whose a flow is, for what is about it but not of it, and writes nothing.
//! * [`peek`] asks the same rules and writes nothing.
//! * [`Rules`] names each rule, so that the model of flows and owners can show what breaks without it.

mod decide;
mod owner;
mod peek;
mod rules;
mod udp;

pub use owner::owner;
pub use peek::{Peek, peek};
pub use rules::{Rules, Sound};

use super::choice::Choice;
use super::flow_table::{self as flows, Scan};
use super::tables::{FlowCells, SlotTables, StampCells};
use crate::abi::{Counter, Service, SlotState, SlotWord, Stamp};
use decide::{Decision, Question, decide};

/// What a packet means to the transition rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// SYN without ACK, RST or FIN.
    Syn,
    /// FIN (payload or not).
    Fin,
    /// RST.
    Reset,
    /// Carries payload.
    Payload,
    /// Anything else of TCP: a bare acknowledgement, keep-alive, nonsense flags.
    Bare,
    /// UDP of a service with `flows = "track"`.
    Datagram,
}

/// A packet of a service whose flows are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Keyed hash of the 5-tuple: names the flow record.
    pub flow_hash: u64,
    /// Index of its slot in `SLOTS`.
    pub slot: u32,
    /// What it is.
    pub segment: Segment,
    /// Its sequence number.
    pub sequence: u32,
}

/// Chooses the backend (number local to the service), or names the counter of the drop.
///
/// Services with `flows = "hash"` have no use for it: their slots are always at rest.
#[inline(always)]
pub fn choose<T: SlotTables>(
    tables: &T,
    service: &Service,
    arrival: &Arrival,
) -> Result<u16, Counter> {
    choose_by::<Sound, T>(tables, service, arrival)
}

/// [`choose`] under other rules than the sound ones: for the model of flows and owners.
#[inline(always)]
pub fn choose_by<R: Rules, T: SlotTables>(
    tables: &T,
    service: &Service,
    arrival: &Arrival,
) -> Result<u16, Counter> {
    let Some(word) = tables.slot(arrival.slot) else {
        return Err(Counter::DropInternal);
    };
    if matches!(word.state(), SlotState::Steady) {
        return Ok(word.base());
    }
    choose_moving::<R, T>(tables, service, arrival, word).result()
}

/// The slot is not at rest. A function of its own in the kernel too: its stack would not fit beside the caller's.
#[inline(never)]
fn choose_moving<R: Rules, T: SlotTables>(
    tables: &T,
    service: &Service,
    arrival: &Arrival,
    word: SlotWord,
) -> Choice {
    let Some(settings) = tables.settings() else {
        return Choice::drop(Counter::DropInternal);
    };
    let Some(stamps) = tables.stamps(arrival.slot) else {
        return Choice::drop(Counter::DropInternal);
    };
    let index = flows::set_index(arrival.flow_hash, settings.flow_set_mask);
    let Some(set) = tables.flow_set(index) else {
        return Choice::drop(Counter::DropInternal);
    };
    let now = tables.now();
    let word0 = if R::LOCK {
        let Some(word0) = flows::lock(&set) else {
            return Choice::drop(Counter::DropBusy);
        };
        word0
    } else {
        set.load(0)
    };
    let tag = flows::tag_of(arrival.flow_hash);
    let scan = Scan::of_locked(&set, word0, tag, flows::tick(now));
    let decision = decide::<R, T>(
        tables,
        &stamps,
        &scan,
        &Question {
            service,
            arrival,
            word,
            now,
        },
    );
    carry_out(&stamps, &set, &decision, word0, now);
    decision.choice
}

/// Writes what was decided: stamps before the record that they cover is published, so that the daemon, reading
/// between, sees the careful value; word B before word A; word 0, which unlocks, last.
#[inline(always)]
fn carry_out<C: StampCells, S: FlowCells>(
    stamps: &C,
    set: &S,
    decision: &Decision,
    word0: u64,
    now: u64,
) {
    if decision.unlogged {
        stamps.store(Stamp::Unlogged, now);
    }
    if decision.bare_syn {
        stamps.store(Stamp::BareSyn, now);
    }
    if decision.foreign {
        stamps.store(Stamp::Foreign, now);
    }
    let mut first = word0;
    if decision.put != 0 {
        let entry = flows::entry_of(decision.put);
        set.store(2 * entry + 1, decision.b);
        if entry == 0 {
            first = decision.a;
        } else {
            set.store(2 * entry, decision.a);
        }
    }
    if decision.free != 0 {
        let entry = flows::entry_of(decision.free);
        if entry == 0 {
            first = 0;
        } else {
            set.store(2 * entry, 0);
        }
    }
    flows::unlock(set, first);
}
