//! ARP (RFC 826) and neighbour discovery (RFC 4861) for a VIP with `announce = "arp"`.

use super::outcome::Outcome;
use super::packet::Packet;
use super::tables::Tables;

/// Turns an ARP request for an announced VIP into its answer; `l3` is the offset of the ARP header. None: not ours.
#[inline(always)]
pub fn answer_arp<P: Packet, T: Tables>(
    _packet: &mut P,
    _tables: &T,
    _l3: usize,
) -> Option<Outcome> {
    None
}

/// Turns a neighbour solicitation for an announced VIP into its advertisement; `l3` is the offset of the IPv6
/// header and `l4` that of the ICMPv6 header. None: not ours.
#[inline(always)]
pub fn answer_solicitation<P: Packet, T: Tables>(
    _packet: &mut P,
    _tables: &T,
    _l3: usize,
    _l4: usize,
) -> Option<Outcome> {
    None
}
