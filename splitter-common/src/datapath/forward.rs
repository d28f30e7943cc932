//! To a backend: what each forwarding mode writes into a packet. Whatever may refuse it is asked before the first
//! byte is written.

use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::Headers;
use crate::abi::{Address, Backend, Counter, Mode, Service};
use crate::wire::checksum::Change;
use crate::wire::header::{
    DESTINATION_PORT, IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_TTL, IPV6_DESTINATION, IPV6_HOP_LIMIT,
    TCP, TCP_CHECKSUM, UDP_CHECKSUM,
};

/// Rewrites a packet for `backend` and says where it goes, or why it is dropped.
#[inline(always)]
pub fn forward<P: Packet>(
    packet: &mut P,
    service: &Service,
    headers: &Headers,
    backend: &Backend,
) -> Result<Outcome, Counter> {
    if service.mode == Mode::Dsr as u8 {
        // The backend is on the link: it takes the client's packet as if it had stood where we stand, TTL included.
        next_hop(packet, backend)?;
        return Ok(Outcome::forward(Counter::ForwardDsr, backend.interface));
    }
    if backend.is(Backend::LOCAL) {
        rewrite(packet, headers, backend, headers.ttl)?;
        return Ok(Outcome::stop(Counter::DeliverLocal));
    }
    if headers.ttl <= 1 {
        return Err(Counter::DropTtl);
    }
    next_hop(packet, backend)?;
    rewrite(packet, headers, backend, headers.ttl - 1)?;
    Ok(Outcome::forward(Counter::ForwardNat, backend.interface))
}

/// Addresses the frame to the backend's next hop.
#[inline(always)]
fn next_hop<P: Packet>(packet: &mut P, backend: &Backend) -> Result<(), Counter> {
    if backend.interface == 0 {
        return Err(Counter::DropNextHop);
    }
    let (to, from) = (&backend.destination_mac, &backend.source_mac);
    let macs = [
        to[0], to[1], to[2], to[3], to[4], to[5], from[0], from[1], from[2], from[3], from[4],
        from[5],
    ];
    packet.write(0, macs).ok_or(Counter::DropInternal)
}

/// Puts in the backend's address, its port and `ttl`, and corrects the checksums.
#[inline(always)]
fn rewrite<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    backend: &Backend,
    ttl: u8,
) -> Result<(), Counter> {
    let port = if backend.port == 0 {
        headers.destination_port
    } else {
        backend.port
    };
    write(packet, headers, &backend.address, port, ttl).ok_or(Counter::DropInternal)
}

/// All of it was read before, so that no write fails half way.
#[inline(always)]
fn write<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    address: &Address,
    port: u16,
    ttl: u8,
) -> Option<()> {
    let old = &headers.destination;
    let (l3, l4) = (headers.l3, headers.l4);
    let change = if headers.ipv6 == 0 {
        let [_, protocol, high, low] = packet.read::<4>(l3 + IPV4_TTL)?;
        let checksum = Change::none()
            .v4(old, address)
            .word(
                u16::from_be_bytes([headers.ttl, protocol]),
                u16::from_be_bytes([ttl, protocol]),
            )
            .apply(u16::from_be_bytes([high, low]))
            .to_be_bytes();
        packet.write(l3 + IPV4_TTL, [ttl])?;
        packet.write(l3 + IPV4_CHECKSUM, checksum)?;
        let v4 = [address[12], address[13], address[14], address[15]];
        packet.write(l3 + IPV4_DESTINATION, v4)?;
        Change::none().v4(old, address)
    } else {
        packet.write(l3 + IPV6_HOP_LIMIT, [ttl])?;
        packet.write(l3 + IPV6_DESTINATION, *address)?;
        Change::none().v6(old, address)
    }
    .word(headers.destination_port, port);

    if headers.protocol == TCP {
        let checksum = u16::from_be_bytes(packet.read(l4 + TCP_CHECKSUM)?);
        packet.write(l4 + TCP_CHECKSUM, change.apply(checksum).to_be_bytes())?;
    } else {
        let checksum = u16::from_be_bytes(packet.read(l4 + UDP_CHECKSUM)?);
        packet.write(l4 + UDP_CHECKSUM, change.apply_udp(checksum).to_be_bytes())?;
    }
    packet.write(l4 + DESTINATION_PORT, port.to_be_bytes())
}
