//! What the rules would do with a flow, asked from outside: nothing is written.

use super::decide::{Decision, Question, decide};
use super::{Arrival, Segment, Sound};
use crate::abi::{Counter, Flows, Service, SlotState, SlotWord};
use crate::datapath::flow_table::{self as flows, Kind, Record, Scan};
use crate::datapath::tables::SlotTables;

/// Answer of [`peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The slot's word.
    pub word: SlotWord,
    /// The time of the answer, nanoseconds.
    pub now: u64,
    /// The learned or confirmed record that counts for the flow.
    pub confirmed: Option<Record>,
    /// The pending record that counts for the flow.
    pub pending: Option<Record>,
    /// Where a packet of an established flow goes, its sequence number not being one that confirms a pending record.
    pub established: Result<u16, Counter>,
    /// Where a SYN goes whose sequence number was not seen before; of UDP, any packet.
    pub new_flow: Result<u16, Counter>,
}

/// Asks what would become of packets of a flow now. Fails with [`Counter::DropBusy`] where its set is written to
/// all the time, and with [`Counter::DropInternal`] where a table lacks an entry.
pub fn peek<T: SlotTables>(
    tables: &T,
    service: &Service,
    flow_hash: u64,
    slot: u32,
) -> Result<Peek, Counter> {
    let word = tables.slot(slot).ok_or(Counter::DropInternal)?;
    let now = tables.now();
    if word.state() == SlotState::Steady {
        return Ok(Peek {
            word,
            now,
            confirmed: None,
            pending: None,
            established: Ok(word.base()),
            new_flow: Ok(word.base()),
        });
    }
    let settings = tables.settings().ok_or(Counter::DropInternal)?;
    let stamps = tables.stamps(slot).ok_or(Counter::DropInternal)?;
    let set = tables
        .flow_set(flows::set_index(flow_hash, settings.flow_set_mask))
        .ok_or(Counter::DropInternal)?;
    let words = flows::load_unlocked(&set).ok_or(Counter::DropBusy)?;
    let find = |confirmed: bool| {
        flows::records(&words).find(|record| {
            let index = u32::from(record.backend);
            let counts = index.wrapping_sub(service.first_backend) < service.backend_count
                && tables
                    .backend(index)
                    .is_some_and(|backend| backend.is(crate::abi::Backend::ALIVE));
            record.tag == flows::tag_of(flow_hash)
                && (record.kind != Kind::Pending) == confirmed
                && record.is_live(now)
                && (!confirmed
                    || flows::ticks_to_ns(record.low, flows::tick(now))
                        <= service.record_ns + (2 << 24))
                && counts
        })
    };
    let pending = find(false);
    let scan = Scan::of(&words, flows::tag_of(flow_hash), flows::tick(now));
    let ask = |segment, sequence| -> Decision {
        let arrival = Arrival {
            flow_hash,
            slot,
            segment,
            sequence,
        };
        let question = Question {
            service,
            arrival: &arrival,
            word,
            now,
        };
        decide::<Sound, T>(tables, &stamps, &scan, &question)
    };
    let (begins, follows) = if service.flows == Flows::Track as u8 {
        (Segment::Datagram, Segment::Datagram)
    } else {
        (Segment::Syn, Segment::Bare)
    };
    // Sequence numbers that confirm begin one after the SYN's own: its own does not.
    let initial = pending.map_or(0, |record| record.low);
    Ok(Peek {
        word,
        now,
        confirmed: find(true),
        pending,
        established: ask(follows, initial).choice.result(),
        new_flow: ask(begins, initial ^ 1 << 31).choice.result(),
    })
}
