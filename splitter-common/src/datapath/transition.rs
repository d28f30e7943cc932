//! Which backend a packet of a service goes to, also while its slot is in transition.

use super::tables::Tables;
use crate::abi::{Counter, Service};

/// What a TCP segment means to the transition rules.
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
    /// Anything else: a bare acknowledgement, keep-alive, nonsense flags.
    Bare,
}

/// A packet of a TCP service.
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
#[inline(always)]
pub fn choose<T: Tables>(
    _tables: &T,
    _service: &Service,
    _arrival: &Arrival,
) -> Result<u16, Counter> {
    Err(Counter::DropInternal)
}
