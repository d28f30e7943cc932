//! The way back in `nat` mode: a reply's source becomes the VIP again.

use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::Headers;
use super::tables::Tables;

/// At XDP: a reply of a backend behind this host. None: not a reply, untouched.
#[inline(always)]
pub fn restore<P: Packet, T: Tables>(
    _packet: &mut P,
    _tables: &T,
    _headers: &Headers,
) -> Option<Outcome> {
    None
}
