//! To a backend: what each forwarding mode writes into a packet. Whatever may refuse it is asked before the first
//! byte is written.

use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::Headers;
use super::rewrite;
use crate::abi::{Backend, Counter, Mode, Service};
use crate::wire::header::ETH_LEN;

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
        next_hop(packet, headers, backend)?;
        untag(packet, headers, backend.interface).ok_or(Counter::DropInternal)?;
        return Ok(Outcome::forward(Counter::ForwardDsr, backend.interface));
    }
    if backend.is(Backend::LOCAL) {
        rewrite(packet, headers, backend, headers.ttl)?;
        return Ok(Outcome::stop(Counter::DeliverLocal));
    }
    if headers.ttl <= 1 {
        return Err(Counter::DropTtl);
    }
    next_hop(packet, headers, backend)?;
    rewrite(packet, headers, backend, headers.ttl - 1)?;
    untag(packet, headers, backend.interface).ok_or(Counter::DropInternal)?;
    Ok(Outcome::forward(Counter::ForwardNat, backend.interface))
}

/// Takes the VLAN tags off a frame that leaves on another interface than it came in on: they name a network of that
/// link. Offsets in `headers` no longer hold afterwards.
#[inline(always)]
pub fn untag<P: Packet>(packet: &mut P, headers: &Headers, interface: u32) -> Option<()> {
    let tags = headers.l3.wrapping_sub(ETH_LEN);
    if tags == 0 || interface == packet.interface() {
        return Some(());
    }
    // The EtherType of what is inside stands at the end of the tags already.
    let macs = packet.read::<12>(0)?;
    packet.grow_front(-(tags as i32))?;
    packet.write(0, macs)
}

/// Addresses the frame to the backend's next hop.
#[inline(always)]
pub(super) fn next_hop<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    backend: &Backend,
) -> Result<(), Counter> {
    if backend.interface == 0 {
        return Err(Counter::DropNextHop);
    }
    // The kernel would throw it away without a trace. Back on the interface that it came in on nothing is checked: that
    // link has carried it.
    if backend.mtu != 0 && headers.length > backend.mtu && backend.interface != packet.interface() {
        return Err(Counter::DropTooLong);
    }
    let (to, from) = (&backend.destination_mac, &backend.source_mac);
    let macs = [
        to[0], to[1], to[2], to[3], to[4], to[5], from[0], from[1], from[2], from[3], from[4],
        from[5],
    ];
    packet.write(0, macs).ok_or(Counter::DropInternal)
}

/// Puts in the backend's address and port.
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
    rewrite::destination(packet, headers, &backend.address, port, ttl).ok_or(Counter::DropInternal)
}
