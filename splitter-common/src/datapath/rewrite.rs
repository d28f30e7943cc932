//! One end of a packet becomes another address and port: the destination on the way to a backend, the source on the
//! way back. Checksums are corrected by what changed.

use super::packet::Packet;
use super::parse::Headers;
use crate::abi::Address;
use crate::wire::checksum::Change;
use crate::wire::header::{
    DESTINATION_PORT, IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_SOURCE, IPV4_TTL, IPV6_DESTINATION,
    IPV6_HOP_LIMIT, IPV6_SOURCE, SOURCE_PORT, TCP, TCP_CHECKSUM, UDP_CHECKSUM,
};

/// Puts in a new destination and `ttl`.
#[inline(never)]
pub fn destination<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    address: &Address,
    port: u16,
    ttl: u8,
) -> Option<()> {
    let change = Replace {
        old: &headers.destination,
        new: address,
        at: (IPV4_DESTINATION, IPV6_DESTINATION),
        old_port: headers.destination_port,
        port,
        port_at: DESTINATION_PORT,
        ttl,
    };
    change.write(packet, headers)
}

/// Puts in a new source and `ttl`.
#[inline(never)]
pub fn source<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    address: &Address,
    port: u16,
    ttl: u8,
) -> Option<()> {
    let change = Replace {
        old: &headers.source,
        new: address,
        at: (IPV4_SOURCE, IPV6_SOURCE),
        old_port: headers.source_port,
        port,
        port_at: SOURCE_PORT,
        ttl,
    };
    change.write(packet, headers)
}

struct Replace<'a> {
    old: &'a Address,
    new: &'a Address,
    /// Where it stands in an IPv4 and in an IPv6 header.
    at: (usize, usize),
    old_port: u16,
    port: u16,
    port_at: usize,
    ttl: u8,
}

impl Replace<'_> {
    /// All of it was read before, so that no write fails half way.
    #[inline(always)]
    fn write<P: Packet>(&self, packet: &mut P, headers: &Headers) -> Option<()> {
        let l4 = headers.l4;
        let change = write_header(packet, headers, (self.old, self.new), self.at, self.ttl)?
            .word(self.old_port, self.port);
        // A later fragment has no transport header: the first one's checksum covers the whole datagram.
        if headers.fragment == Headers::LATER {
            return Some(());
        }
        if headers.protocol == TCP {
            let checksum = u16::from_be_bytes(packet.read(l4 + TCP_CHECKSUM)?);
            packet.write(l4 + TCP_CHECKSUM, change.apply(checksum).to_be_bytes())?;
        } else {
            let checksum = u16::from_be_bytes(packet.read(l4 + UDP_CHECKSUM)?);
            packet.write(l4 + UDP_CHECKSUM, change.apply_udp(checksum).to_be_bytes())?;
        }
        packet.write(l4 + self.port_at, self.port.to_be_bytes())
    }
}

/// Puts an address in the place of another into the IP header, and `ttl`; `at` is where it stands in an IPv4 and in an
/// IPv6 header. Returns what a checksum with a pseudo-header sees of the change.
#[inline(always)]
pub(super) fn write_header<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    (old, new): (&Address, &Address),
    at: (usize, usize),
    ttl: u8,
) -> Option<Change> {
    let l3 = headers.l3;
    if headers.ipv6 != 0 {
        packet.write(l3 + IPV6_HOP_LIMIT, [ttl])?;
        packet.write(l3 + at.1, *new)?;
        return Some(Change::none().v6(old, new));
    }
    let addresses = Change::none().v4(old, new);
    let checksum = u16::from_be_bytes(packet.read(l3 + IPV4_CHECKSUM)?);
    let checksum = addresses
        .word(
            u16::from_be_bytes([headers.ttl, headers.protocol]),
            u16::from_be_bytes([ttl, headers.protocol]),
        )
        .apply(checksum);
    packet.write(l3 + IPV4_TTL, [ttl])?;
    packet.write(l3 + IPV4_CHECKSUM, checksum.to_be_bytes())?;
    packet.write(l3 + at.0, [new[12], new[13], new[14], new[15]])?;
    Some(addresses)
}
