//! IPv6 extension headers (RFC 8200 §4): the one reader of the chain between the IPv6 header and what it carries.

use super::packet::Packet;
use super::parse::Headers;
use crate::wire::header::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING, TCP, UDP};

/// Extension headers that are read at most. What has more is left to the stack.
pub const MOST: usize = 6;

/// Offset in the frame beyond which nothing is looked for: the programs in the kernel read up to 1,023, and a transport
/// header or a quoted packet may still follow.
const DEEPEST: usize = 511;

/// The chain was skipped: protocol and offset are those of what it carries.
pub const SKIPPED: u32 = 0;
/// It is a later fragment, of TCP or UDP as far as can be told.
pub const LATER: u32 = 1;
/// Cut off or impossible.
pub const BROKEN: u32 = 2;
/// Nothing that is steered.
pub const OTHER: u32 = 3;

/// Whether a "next header" number is an extension header that is read here. The others (authentication, encapsulating
/// security payload, mobility…) hide or change what follows.
#[inline(always)]
pub const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// Steps over the chain that begins at `headers.l4` with header `headers.protocol`, which [`is_extension`]; sets
/// protocol, offset, and what a fragment header says.
///
/// * Hop-by-hop options come first or not at all (RFC 8200 §4.1).
/// * A routing header with segments left names another destination than the IPv6 header's: the stack's.
/// * A fragment header with offset 0 and nothing to follow is skipped (RFC 6946: an atomic fragment).
///
/// Returns one of the numbers above: an enum's would do, but the verifier knows a bound for a number only.
#[inline(never)]
pub fn skip<P: Packet>(packet: &P, headers: &mut Headers) -> u32 {
    let end = headers.l3 + usize::from(headers.length);
    for index in 0..MOST {
        let this = headers.protocol;
        if !is_extension(this) {
            return SKIPPED;
        }
        if this == HOP_BY_HOP && index != 0 {
            return OTHER;
        }
        let Some(head) = packet.read::<8>(headers.l4) else {
            return BROKEN;
        };
        let length = if this == FRAGMENT {
            8
        } else {
            8 + 8 * usize::from(head[1])
        };
        if headers.l4 + length > end {
            return BROKEN;
        }
        if this == ROUTING && head[3] != 0 {
            return OTHER;
        }
        headers.l4 += length;
        headers.protocol = head[0];
        if headers.l4 > DEEPEST {
            return OTHER;
        }
        if this == FRAGMENT {
            let field = u16::from_be_bytes([head[2], head[3]]);
            // Two bits between offset and flag are reserved.
            if field & !6 != 0 {
                headers.fragment_id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                headers.fragment = Headers::FIRST;
            }
            if field & !7 != 0 {
                headers.fragment = Headers::LATER;
                headers.fragment_offset = field >> 3;
                let next = headers.protocol;
                return if next == TCP || next == UDP || is_extension(next) {
                    LATER
                } else {
                    OTHER
                };
            }
        }
    }
    if is_extension(headers.protocol) {
        OTHER
    } else {
        SKIPPED
    }
}
