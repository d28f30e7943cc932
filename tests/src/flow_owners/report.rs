//! What became of a schedule, and the story of a failure.

use super::world::Event;
use splitter_common::abi::{Counter, SlotWord};
use splitter_common::datapath::transition::Segment;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// P1: a packet of an established flow reached another backend than the flow's.
    Pcc,
    /// A packet of a handshake reached another backend than the one that answered.
    Birth,
    /// I5: a backend was called drained with a flow under the promise on it.
    Drain,
    /// I1: a look-up for a flow under the promise would not find its backend.
    Lookup,
    /// I2: a slot at rest has a live record of a backend other than its owner.
    StaleRecord,
    /// I3: `base` changed otherwise than by a hand-over with `unlogged` old, or on death.
    BaseMoved,
    /// I4: a live record was overwritten by another flow's packet.
    Evicted,
    /// A set has more pending or learned records than its quota.
    Quota,
    /// A SYN went to a backend that is known to be dead and that its slot does not name.
    Stranded,
    /// A transition did not come to rest although nothing held it.
    Unsettled,
}

/// What became of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first violation, with the events before it, oldest first.
    pub violation: Option<(Violation, Vec<String>)>,
    /// Packets that went through `choose`.
    pub packets: u64,
    /// Flows that were established.
    pub established: u64,
    /// Packets that ran while another packet was being worked on.
    pub nested: u64,
    /// SYNs dropped in a hand-over.
    pub handover_drops: u64,
    /// Packets dropped because their flow set was locked.
    pub busy_drops: u64,
    /// Hand-overs of a slot that went through.
    pub handovers: u64,
    /// Kills of the daemon.
    pub kills: u64,
    /// Rows that routes came into, and rows that they left.
    pub rows_opened: u64,
    /// See `rows_opened`.
    pub rows_closed: u64,
    /// Backends drained and stopped, whose numbers were used again.
    pub reused: u64,
    /// Flows lost within the documented limits: silent for too long, a SYN of another connection in the handshake,
    /// a spoofed pair of SYN and ACK, a handshake under way at a change with `--now`.
    pub limits: u64,
}

/// For the story of a failure.
#[derive(Clone, Copy)]
pub(super) enum Note {
    Packet(u64, Segment, u32, Result<u16, Counter>),
    Wrote(usize, SlotWord),
    Did(Event),
    Killed,
    Drained(u16),
    Entry(usize, Option<usize>),
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::Packet(key, segment, sequence, result) => write!(
                f,
                "{segment:?} of key {key} ({}), sequence {sequence}: {result:?}",
                super::routes::place(*key)
            ),
            Note::Wrote(slot, word) => write!(
                f,
                "slot {slot} is {:?}, base {}, current {}",
                word.state(),
                word.base(),
                word.current()
            ),
            Note::Did(event) => write!(f, "{event:?}"),
            Note::Killed => write!(f, "the daemon is killed"),
            Note::Entry(route, Some(row)) => write!(f, "route {route} has row {row}"),
            Note::Entry(route, None) => write!(f, "route {route} has no row"),
            Note::Drained(backend) => write!(f, "backend {backend} is called drained"),
        }
    }
}
