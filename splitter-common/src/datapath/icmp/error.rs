//! ICMP errors, in both directions.

use super::{Sort, quote, sort, translate};
use crate::abi::{Address, Backend, Counter, Mode, Reply, Service, Verdict};
use crate::datapath::choice::Choice;
use crate::datapath::outcome::Outcome;
use crate::datapath::packet::Packet;
use crate::datapath::parse::Headers;
use crate::datapath::reply::{self, source_of};
use crate::datapath::tables::{NextHop, Tables};
use crate::datapath::transition::{self, Arrival, Segment};
use crate::datapath::{forward, hairpin, service};

/// At XDP. None: about nothing of ours, untouched.
///
/// A function of its own in the kernel too, and so is each step, called one after the other: on top of one another, or in
/// the frame of what a TCP packet needs, they would not fit on the stack.
#[inline(never)]
pub(super) fn steer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    outer: &Headers,
) -> Option<Outcome> {
    let mut flow = Headers::default();
    if !quote::read(packet, outer, &mut flow) {
        return None;
    }
    let Some((_, service)) = service::find(tables, &flow) else {
        let mut reply = *source_of(tables, &flow)?;
        // Errors about calls of backends to their own VIP have no way back.
        if hairpin::is_source(tables, &flow) {
            return None;
        }
        reply::settle(tables, &flow, &mut reply);
        return Some(to_client(packet, outer, &flow, &reply));
    };
    let mut arrival = Arrival {
        flow_hash: 0,
        slot: 0,
        segment: Segment::Bare,
        sequence: 0,
    };
    if service::place(tables, service, &flow, &mut arrival).is_none() {
        return Some(Outcome::stop(Counter::DropInternal));
    }
    let outcome = match owner(tables, service, &arrival).result() {
        Ok(local) => match service::backend(tables, service, local) {
            Some((_, backend)) => to_backend(packet, service, outer, &flow, backend),
            None => Outcome::stop(Counter::DropNoBackend),
        },
        Err(counter) => Outcome::stop(counter),
    };
    Some(outcome)
}

/// The backend of the flow that `arrival` names.
#[inline(never)]
fn owner<T: Tables>(tables: &T, service: &Service, arrival: &Arrival) -> Choice {
    transition::owner(tables, service, arrival)
}

/// As the flow's own packets, but for what is written. It is no traffic of the backend: neither its share nor its
/// handshakes are measured by errors.
#[inline(always)]
fn to_backend<P: Packet>(
    packet: &mut P,
    service: &Service,
    outer: &Headers,
    flow: &Headers,
    backend: &Backend,
) -> Outcome {
    let counter = admit(packet, service, outer, backend);
    if counter.verdict() as u32 == Verdict::Drop as u32 {
        return Outcome::stop(counter);
    }
    let local = matches!(counter, Counter::DeliverIcmp);
    if service.mode == Mode::Nat as u8 {
        let ttl = outer.ttl.wrapping_sub(u8::from(!local));
        if translate::to_backend(packet, outer, flow, backend, ttl).is_none() {
            return Outcome::stop(Counter::DropInternal);
        }
    }
    if local {
        return Outcome::stop(Counter::DeliverIcmp);
    }
    if !untag(packet, outer, backend.interface) {
        return Outcome::stop(Counter::DropInternal);
    }
    Outcome::forward(Counter::ForwardIcmp, backend.interface)
}

/// Asks whatever may refuse the error, and addresses its frame to the backend's next hop.
#[inline(never)]
fn admit<P: Packet>(
    packet: &mut P,
    service: &Service,
    outer: &Headers,
    backend: &Backend,
) -> Counter {
    let nat = service.mode == Mode::Nat as u8;
    if nat && backend.is(Backend::LOCAL) {
        return Counter::DeliverIcmp;
    }
    if nat && outer.ttl <= 1 {
        return Counter::DropTtl;
    }
    match forward::next_hop(packet, outer, backend) {
        Ok(()) => Counter::ForwardIcmp,
        Err(counter) => counter,
    }
}

#[inline(never)]
fn untag<P: Packet>(packet: &mut P, outer: &Headers, interface: u32) -> bool {
    forward::untag(packet, outer, interface).is_some()
}

/// An error about a client's packet as the backend got it, from the backend or a router before it.
#[inline(always)]
fn to_client<P: Packet>(packet: &mut P, outer: &Headers, flow: &Headers, reply: &Reply) -> Outcome {
    // As in `reply`.
    if outer.ttl <= 1 {
        return Outcome::stop(Counter::DropTtl);
    }
    let mut hop = NextHop::default();
    let known = route(packet, outer, &reply.vip, &mut hop);
    let ttl = outer.ttl - u8::from(known);
    if translate::to_client(packet, outer, flow, reply, ttl).is_none() {
        return Outcome::stop(Counter::DropInternal);
    }
    if !known {
        return Outcome::stop(Counter::ReplyStack);
    }
    if !send(packet, outer, &hop) {
        return Outcome::stop(Counter::DropInternal);
    }
    Outcome::forward(Counter::ReplyIcmp, hop.interface)
}

/// Whether the kernel's routing knows the way to the client.
#[inline(never)]
fn route<P: Packet>(packet: &P, outer: &Headers, vip: &Address, hop: &mut NextHop) -> bool {
    match packet.route(vip, &outer.destination, outer.protocol, outer.length) {
        Some(found) => {
            *hop = found;
            true
        }
        None => false,
    }
}

#[inline(never)]
fn send<P: Packet>(packet: &mut P, outer: &Headers, hop: &NextHop) -> bool {
    reply::send(packet, outer, hop).is_some()
}

/// At TC egress: an error of this host's stack about a client's packet to a backend on this host. None: about nothing of
/// ours, untouched and not counted. One that could be rewritten only in part is dropped.
#[inline(never)]
pub fn leave<P: Packet, T: Tables>(packet: &mut P, tables: &T, outer: &Headers) -> Option<Outcome> {
    if !matches!(sort(packet, outer), Sort::Error) {
        return None;
    }
    let mut flow = Headers::default();
    if !quote::read(packet, outer, &mut flow) {
        return None;
    }
    let mut reply = *source_of(tables, &flow)?;
    reply::settle(tables, &flow, &mut reply);
    let counter = match translate::to_client(packet, outer, &flow, &reply, outer.ttl) {
        Some(()) => Counter::ReplyLocal,
        None => Counter::DropInternal,
    };
    tables.count(counter);
    Some(Outcome::stop(counter))
}
