//! ICMP (RFC 792) and ICMPv6 (RFC 4443): errors find the flow that they are about, echo requests their answer.
//!
//! * `quote` reads the packet that an error quotes, and turns it round: as a packet of the same flow the other way.
//! * `error` sends an error about what a backend sent as the VIP to that backend, and one about what a client sent, from
//!   a backend or a router before it, to the client.
//! * `translate` writes another end of the flow into an error, and corrects every checksum that sees it.
//! * `echo` answers echo requests to a VIP with `icmp_echo`.
//!
//! An error writes nothing into the tables: whoever forges one makes and refreshes no record. It is held against the
//! tables alone; sequence numbers are judged by the backend's stack (RFC 5927), as if it had got the error directly.

mod echo;
mod error;
mod quote;
mod translate;

pub use error::leave;

use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::Headers;
use super::tables::Tables;
use super::{neighbour, to_group};
use crate::wire::header::ICMP_LEN;

/// What sort of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// An error, which quotes a packet.
    Error,
    /// An echo request.
    Echo,
    /// Anything else, or cut off.
    Other,
}

/// Steers an ICMP message at XDP. None: the stack's, untouched.
#[inline(always)]
pub fn steer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &mut Headers,
) -> Option<Outcome> {
    match sort(packet, headers) {
        Sort::Error if to_group(packet) => None,
        Sort::Error => error::steer(packet, tables, headers),
        Sort::Echo => echo::answer(packet, tables, headers),
        Sort::Other if headers.ipv6 == 0 => None,
        Sort::Other => neighbour::answer_solicitation(packet, tables, headers.l3, headers.l4)
            .then(|| neighbour::answered(packet)),
    }
}

/// Destination unreachable, time exceeded, parameter problem, and *packet too big* over IPv6. Not the redirect, which is
/// about this host's own routes; nor the source quench, which is to be ignored (RFC 6633).
#[inline(always)]
fn sort<P: Packet>(packet: &P, headers: &Headers) -> Sort {
    if headers.l4 + ICMP_LEN > headers.l3 + usize::from(headers.length) {
        return Sort::Other;
    }
    let Some([kind, code]) = packet.read::<2>(headers.l4) else {
        return Sort::Other;
    };
    match (headers.ipv6, kind, code) {
        (0, 3 | 11 | 12, _) | (1, 1..=4, _) => Sort::Error,
        (0, 8, 0) | (1, 128, 0) => Sort::Echo,
        _ => Sort::Other,
    }
}
