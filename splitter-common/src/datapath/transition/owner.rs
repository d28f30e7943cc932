//! Whose a flow is, asked by a packet that is about the flow and not of it: an ICMP error. Nothing is written, so that
//! whoever forges such packets makes no record, refreshes none and stamps no slot.

use super::decide::number_of;
use super::{Arrival, Sound};
use crate::abi::{Counter, ENTRIES_PER_SET, Service, SlotState};
use crate::datapath::choice::Choice;
use crate::datapath::flow_table::{self as flows, KIND_SHIFT, TAG_MASK, TAG_SHIFT, TICK_SHIFT};
use crate::datapath::tables::{FlowCells, SlotTables};

/// The backend (number local to the service) of an established flow; of `arrival`, hash and slot are asked.
///
/// Its record's, else `base`: what decides for the flow's own packets, but for those of a flow that is about to begin,
/// of which no backend has sent anything yet. Where a connection is closing and another one begins on the same 5-tuple,
/// it is the new one's.
#[inline(always)]
pub fn owner<T: SlotTables>(tables: &T, service: &Service, arrival: &Arrival) -> Choice {
    let Some(word) = tables.slot(arrival.slot) else {
        return Choice::drop(Counter::DropInternal);
    };
    if matches!(word.state(), SlotState::Steady) {
        return Choice::to(word.base());
    }
    let Some(settings) = tables.settings() else {
        return Choice::drop(Counter::DropInternal);
    };
    let index = flows::set_index(arrival.flow_hash, settings.flow_set_mask);
    let Some(set) = tables.flow_set(index) else {
        return Choice::drop(Counter::DropInternal);
    };
    let tag = flows::tag_of(arrival.flow_hash);
    let now = flows::tick(tables.now());
    let index = glance(&set, tag, now, service.record_ns);
    match number_of::<Sound, T>(tables, service, index).get() {
        Some(backend) => Choice::to(backend),
        None => Choice::to(word.base()),
    }
}

/// Index in `BACKENDS` of the record that says whose an established flow is, [`NOBODY`] where none does: the confirmed
/// one, but a pending one before a confirmed one that is closing. For who writes nothing and takes no lock: another
/// packet may change an entry between the readings of its words, so that one record is judged by the times of the next.
#[inline(always)]
fn glance<S: FlowCells>(set: &S, tag: u64, now: u32, record_ns: u64) -> u32 {
    let span = (record_ns >> TICK_SHIFT) + 1;
    let mut best = 0;
    for entry in 0..ENTRIES_PER_SET {
        let (a, b) = (set.load(2 * entry), set.load(2 * entry + 1));
        let rank = rank(a, b, tag, now, span);
        if rank > best {
            best = rank;
        }
    }
    if best == 0 {
        NOBODY
    } else {
        best as u32 & 0xffff
    }
}

/// What [`glance`] says where no record counts.
const NOBODY: u32 = u32::MAX;

/// Bits 16–17 how much a record says of whose the flow is, 0–15 its backend; 0 where it does not count.
#[inline(always)]
fn rank(a: u64, b: u64, tag: u64, now: u32, span: u64) -> u64 {
    let kind = a >> KIND_SHIFT;
    let low = kind & 1;
    let high = (kind >> 1) & 1;
    let hit = (((a >> TAG_SHIFT) & TAG_MASK) ^ tag).wrapping_sub(1) >> 63;
    let live = hit & (((b >> 32).wrapping_sub(u64::from(now)) >> 31 & 1) ^ 1);
    let age = u64::from(now.wrapping_sub(b as u32));
    // Seen ahead of `now`, by another CPU's clock, or no longer ago than the span.
    let recent = age >> 31 | span.wrapping_sub(age) >> 63 ^ 1;
    let pending = live & low & (high ^ 1);
    let confirmed = live & high & recent & 1;
    let closing = a >> 60 & 1;
    let weight = 2 * pending + confirmed * (3 - 2 * closing);
    weight << 16 | (a & 0xffff & weight.wrapping_neg() >> 48)
}
