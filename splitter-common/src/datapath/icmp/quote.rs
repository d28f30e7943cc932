//! The packet that an ICMP error quotes.

use crate::abi::mapped;
use crate::datapath::extensions;
use crate::datapath::packet::Packet;
use crate::datapath::parse::{Headers, is_mapped};
use crate::wire::header::{
    ICMP_LEN, IPV4_LEN, IPV4_OFFSET, IPV6_DESTINATION, IPV6_LEN, IPV6_SOURCE, TCP, TCP_CHECKSUM,
    UDP, UDP_CHECKSUM,
};

/// Bytes of the transport header that every error quotes (RFC 792; RFC 4443 asks for more).
const TRANSPORT: usize = 8;

/// Reads what an error quotes, turned round: `flow` names the ends as a packet would that answers the quoted one, which
/// is how tables are asked. Its offsets are those of the quoted headers, its length is what the quote holds of the quoted
/// packet.
///
/// False where the error cannot be attributed: another protocol, a fragment without the first bytes, fewer than eight
/// bytes of transport header, another family's addresses, or an error that goes to somebody other than the quoted
/// packet's source.
#[inline(never)]
pub(super) fn read<P: Packet>(packet: &P, outer: &Headers, flow: &mut Headers) -> bool {
    let l3 = outer.l4 + ICMP_LEN;
    flow.l3 = l3;
    flow.ipv6 = outer.ipv6;
    let held = (outer.l3 + usize::from(outer.length)).wrapping_sub(l3);
    let found = if outer.ipv6 == 0 {
        ipv4(packet, flow, held)
    } else {
        ipv6(packet, flow, held)
    };
    flow.l4 = packet.forget(flow.l4);
    if !found || flow.l4 + TRANSPORT > l3 + usize::from(flow.length) {
        return false;
    }
    let Some(ports) = packet.read::<4>(flow.l4) else {
        return false;
    };
    flow.destination_port = u16::from_be_bytes([ports[0], ports[1]]);
    flow.source_port = u16::from_be_bytes([ports[2], ports[3]]);
    flow.destination == outer.destination
}

#[inline(always)]
fn ipv4<P: Packet>(packet: &P, flow: &mut Headers, held: usize) -> bool {
    let Some(ip) = packet.read::<IPV4_LEN>(flow.l3) else {
        return false;
    };
    let header = usize::from(ip[0] & 0x0f) * 4;
    flow.l4 = flow.l3 + header;
    flow.protocol = ip[9];
    flow.length = shorter(usize::from(u16::from_be_bytes([ip[2], ip[3]])), held);
    flow.destination = mapped([ip[12], ip[13], ip[14], ip[15]]);
    flow.source = mapped([ip[16], ip[17], ip[18], ip[19]]);
    ip[0] >> 4 == 4
        && header >= IPV4_LEN
        && u16::from_be_bytes([ip[6], ip[7]]) & IPV4_OFFSET == 0
        && (ip[9] == TCP || ip[9] == UDP)
}

#[inline(always)]
fn ipv6<P: Packet>(packet: &P, flow: &mut Headers, held: usize) -> bool {
    let l3 = flow.l3;
    let (Some(ip), Some(source), Some(destination)) = (
        packet.read::<8>(l3),
        packet.read::<16>(l3 + IPV6_SOURCE),
        packet.read::<16>(l3 + IPV6_DESTINATION),
    ) else {
        return false;
    };
    let length = IPV6_LEN + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    flow.l4 = l3 + IPV6_LEN;
    flow.protocol = ip[6];
    flow.length = shorter(length, held);
    flow.destination = source;
    flow.source = destination;
    if ip[0] >> 4 != 6 || is_mapped(&flow.source) || is_mapped(&flow.destination) {
        return false;
    }
    if extensions::is_extension(flow.protocol)
        && extensions::skip(packet, flow) != extensions::SKIPPED
    {
        return false;
    }
    flow.protocol == TCP || flow.protocol == UDP
}

/// The length of what is quoted, as far as the error holds it. `held` has 16 bits.
#[inline(always)]
const fn shorter(length: usize, held: usize) -> u16 {
    if length < held {
        length as u16
    } else {
        held as u16
    }
}

/// Offset of the quoted transport checksum; 0 where the quote ends before it, which it may for TCP.
#[inline(always)]
pub(super) fn checksum_at(flow: &Headers) -> usize {
    let at = flow.l4
        + if flow.protocol == TCP {
            TCP_CHECKSUM
        } else {
            UDP_CHECKSUM
        };
    if at + 2 > flow.l3 + usize::from(flow.length) {
        return 0;
    }
    at
}
