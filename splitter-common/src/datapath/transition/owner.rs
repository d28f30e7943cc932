//! Whose a flow is, asked by a packet that is about the flow and not of it: an ICMP error. Nothing is written, so that
//! whoever forges such packets makes no record, refreshes none and stamps no slot.

use super::decide::number_of;
use super::{Arrival, Sound};
use crate::abi::{Counter, Service, SlotState};
use crate::datapath::choice::Choice;
use crate::datapath::flow_table as flows;
use crate::datapath::tables::SlotTables;

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
    let index = flows::glance(&set, tag, now, service.record_ns);
    match number_of::<Sound, T>(tables, service, index).get() {
        Some(backend) => Choice::to(backend),
        None => Choice::to(word.base()),
    }
}
