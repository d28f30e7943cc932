//! The measured share: how many handshakes each backend completed, from client packets alone.
//!
//! A SYN leaves its sequence number in a cell that its flow hash names; the packet that acknowledges the SYN-ACK
//! (sequence number one higher, ACK set) finds it there, is counted and clears it. A SYN whose cell another one takes
//! before it completes is lost to the measurement: that is chance, the same for all backends, so shares stay true
//! however small the table is, and a flood of SYNs costs samples but no memory and makes up no handshake.

use super::parse::Headers;
use super::service::is_syn;
use super::tables::Tables;
use crate::wire::header::{ACK, RST, SYN};

/// Notes a TCP packet that goes to backend `local`; true where it completes a handshake.
#[inline(always)]
pub fn handshake<T: Tables>(tables: &T, flow_hash: u64, headers: &Headers, local: u16) -> bool {
    let Some(settings) = tables.settings() else {
        return false;
    };
    let cell = flow_hash as u32 & settings.handshake_mask;
    if is_syn(headers) {
        tables.set_handshake(cell, value(headers.sequence, flow_hash, local));
        return false;
    }
    let awaited = value(headers.sequence.wrapping_sub(1), flow_hash, local);
    let completes = headers.flags & (ACK | SYN | RST) == ACK
        && awaited != EMPTY
        && tables.handshake(cell) == awaited;
    if completes {
        tables.set_handshake(cell, EMPTY);
    }
    completes
}

const EMPTY: u64 = 0;

/// Bits 32–63 the client's initial sequence number, 16–31 bits of the hash that name no cell, 0–15 the backend.
#[inline(always)]
fn value(sequence: u32, flow_hash: u64, local: u16) -> u64 {
    u64::from(sequence) << 32 | (flow_hash >> 32 & 0xffff) << 16 | u64::from(local)
}
