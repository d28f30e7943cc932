//! Echo requests to a VIP with `icmp_echo`, answered where they come in (RFC 792, RFC 4443 §4).
//!
//! The answer goes back to the MAC address that the question came from, has its length, and costs a few bytes written:
//! there is nothing that a limit of their rate would protect. The checksum is corrected, not judged: a wrong one stays
//! wrong by as much, and the asker throws the answer away.

use crate::abi::{Address, Counter, Vip};
use crate::datapath::neighbour::is_group;
use crate::datapath::outcome::Outcome;
use crate::datapath::packet::Packet;
use crate::datapath::parse::Headers;
use crate::datapath::tables::Tables;
use crate::wire::checksum::Change;
use crate::wire::header::{
    ICMP_CHECKSUM, IPV4_CHECKSUM, IPV4_LEN, IPV4_SOURCE, IPV4_TTL, IPV6_DESTINATION,
    IPV6_HOP_LIMIT, IPV6_LEN, IPV6_SOURCE,
};

/// Time to live or hop limit of an answer.
const TTL: u8 = 64;

/// Turns an echo request into its answer. None: the stack's, untouched. That is what is not for this interface's own MAC
/// address, comes from no single host, or has IPv4 options or IPv6 extension headers, which an answer may have to
/// change.
#[inline(never)]
pub(super) fn answer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
) -> Option<Outcome> {
    let (l3, l4) = (headers.l3, headers.l4);
    let plain = if headers.ipv6 == 0 {
        IPV4_LEN
    } else {
        IPV6_LEN
    };
    if l4 != l3 + plain || !tables.vip(&headers.destination)?.is(Vip::ECHO) || !is_one_host(headers)
    {
        return None;
    }
    let to = packet.read::<6>(0)?;
    let from = packet.read::<6>(6)?;
    if to != tables.interface(packet.interface())?.mac || is_group(from) {
        return None;
    }
    let [kind, code] = packet.read::<2>(l4)?;
    let answer = if headers.ipv6 == 0 { 0 } else { 129 };
    let checksum = u16::from_be_bytes(packet.read(l4 + ICMP_CHECKSUM)?);
    // That the addresses change places changes no sum.
    let checksum = Change::none()
        .word(
            u16::from_be_bytes([kind, code]),
            u16::from_be_bytes([answer, code]),
        )
        .apply(checksum);
    // The answer may be zeros alone, of which the checksum is not zero; for any other both zeros are one and the same.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    if headers.ipv6 == 0 {
        let addresses = packet.read::<8>(l3 + IPV4_SOURCE)?;
        let old = u16::from_be_bytes(packet.read(l3 + IPV4_CHECKSUM)?);
        let protocol = headers.protocol;
        let new = Change::none()
            .word(
                u16::from_be_bytes([headers.ttl, protocol]),
                u16::from_be_bytes([TTL, protocol]),
            )
            .apply(old);
        let [a, b, c, d, e, f, g, h] = addresses;
        packet.write(l3 + IPV4_TTL, [TTL])?;
        packet.write(l3 + IPV4_CHECKSUM, new.to_be_bytes())?;
        packet.write(l3 + IPV4_SOURCE, [e, f, g, h, a, b, c, d])?;
    } else {
        packet.write(l3 + IPV6_HOP_LIMIT, [TTL])?;
        packet.write(l3 + IPV6_SOURCE, headers.destination)?;
        packet.write(l3 + IPV6_DESTINATION, headers.source)?;
    }
    packet.write(l4 + ICMP_CHECKSUM, checksum.to_be_bytes())?;
    packet.write(l4, [answer])?;
    packet.write(0, from)?;
    packet.write(6, to)?;
    Some(Outcome::forward(Counter::AnswerEcho, packet.interface()))
}

/// Whether the source names one host that can be answered: not a group, broadcast, loopback or unspecified address. The
/// broadcast address of a subnet looks like a host's; its answer goes to the one MAC address that asked.
#[inline(always)]
fn is_one_host(headers: &Headers) -> bool {
    let source: &Address = &headers.source;
    if headers.ipv6 == 0 {
        let first = source[12];
        return first != 0 && first != 127 && first < 224;
    }
    const HIGH: usize = 8;
    let zero = source[..HIGH] == [0; HIGH] && source[HIGH..15] == [0; 7] && source[15] < 2;
    source[0] != 0xff && !zero
}
