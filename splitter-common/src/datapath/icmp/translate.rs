//! Another end of the flow, written into an ICMP error: outside, and in the packet that it quotes. All checksums are
//! corrected by what changed: the quoted packet's, and the error's own, which covers all of them and, in ICMPv6, the
//! outer addresses (RFC 4443 §2.3).

use super::quote;
use crate::abi::{Address, Backend, Reply};
use crate::datapath::packet::Packet;
use crate::datapath::parse::Headers;
use crate::datapath::rewrite::write_header;
use crate::wire::checksum::Change;
use crate::wire::header::{
    DESTINATION_PORT, ICMP_CHECKSUM, IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_SOURCE,
    IPV6_DESTINATION, IPV6_SOURCE, SOURCE_PORT, TCP,
};

/// To the backend, as if the quoted packet had left with the backend's own source.
#[inline(never)]
pub(super) fn to_backend<P: Packet>(
    packet: &mut P,
    outer: &Headers,
    flow: &Headers,
    backend: &Backend,
    ttl: u8,
) -> Option<()> {
    let port = if backend.port == 0 {
        flow.destination_port
    } else {
        backend.port
    };
    let end = End {
        old: &flow.destination,
        new: &backend.address,
        at: (IPV4_SOURCE, IPV6_SOURCE),
        ports: (flow.destination_port, port),
        port_at: SOURCE_PORT,
    };
    let addresses = (&outer.destination, &backend.address);
    let at = (IPV4_DESTINATION, IPV6_DESTINATION);
    // First what can still fail.
    let quoted = end.write(packet, flow)?;
    let outside = write_header(packet, outer, addresses, at, ttl)?;
    finish(packet, outer, quoted, outside)
}

/// To the client, as if the quoted packet had reached the VIP. A backend speaks as the VIP; a router before it keeps its
/// own name.
#[inline(never)]
pub(super) fn to_client<P: Packet>(
    packet: &mut P,
    outer: &Headers,
    flow: &Headers,
    reply: &Reply,
    ttl: u8,
) -> Option<()> {
    let end = End {
        old: &flow.source,
        new: &reply.vip,
        at: (IPV4_DESTINATION, IPV6_DESTINATION),
        ports: (flow.source_port, reply.port),
        port_at: DESTINATION_PORT,
    };
    let source = if outer.source == flow.source {
        &reply.vip
    } else {
        &outer.source
    };
    let addresses = (&outer.source, source);
    let at = (IPV4_SOURCE, IPV6_SOURCE);
    let quoted = end.write(packet, flow)?;
    let outside = write_header(packet, outer, addresses, at, ttl)?;
    finish(packet, outer, quoted, outside)
}

/// One end of the quoted packet.
struct End<'a> {
    old: &'a Address,
    new: &'a Address,
    /// Where it stands in an IPv4 and in an IPv6 header.
    at: (usize, usize),
    /// Port, old and new.
    ports: (u16, u16),
    port_at: usize,
}

impl End<'_> {
    /// Writes it; returns what the error's checksum sees of it.
    #[inline(always)]
    fn write<P: Packet>(&self, packet: &mut P, flow: &Headers) -> Option<Change> {
        let (l3, l4) = (flow.l3, flow.l4);
        let addresses = if flow.ipv6 == 0 {
            Change::none().v4(self.old, self.new)
        } else {
            Change::none().v6(self.old, self.new)
        };
        let own = addresses.word(self.ports.0, self.ports.1);
        let mut seen = own;
        let checksum_at = quote::checksum_at(flow);
        if checksum_at != 0 {
            let old = u16::from_be_bytes(packet.read(checksum_at)?);
            let new = if flow.protocol == TCP {
                own.apply(old)
            } else {
                own.apply_udp(old)
            };
            packet.write(checksum_at, new.to_be_bytes())?;
            seen = seen.word(old, new);
        }
        if flow.ipv6 == 0 {
            let old = u16::from_be_bytes(packet.read(l3 + IPV4_CHECKSUM)?);
            let new = addresses.apply(old);
            packet.write(l3 + IPV4_CHECKSUM, new.to_be_bytes())?;
            seen = seen.word(old, new);
            let a = self.new;
            packet.write(l3 + self.at.0, [a[12], a[13], a[14], a[15]])?;
        } else {
            packet.write(l3 + self.at.1, *self.new)?;
        }
        packet.write(l4 + self.port_at, self.ports.1.to_be_bytes())?;
        Some(seen)
    }
}

/// The error's own checksum; `outside` is the change of the outer addresses, which ICMPv6 alone covers.
#[inline(always)]
fn finish<P: Packet>(
    packet: &mut P,
    outer: &Headers,
    quoted: Change,
    outside: Change,
) -> Option<()> {
    let change = if outer.ipv6 == 0 {
        quoted
    } else {
        quoted.and(outside)
    };
    let at = outer.l4 + ICMP_CHECKSUM;
    let checksum = u16::from_be_bytes(packet.read(at)?);
    packet.write(at, change.apply(checksum).to_be_bytes())
}
