//! ICMP errors, in both directions.

use super::{Sort, quote, sort, translate};
use crate::abi::{Backend, Counter, Mode, Service};
use crate::datapath::choice::Choice;
use crate::datapath::outcome::Outcome;
use crate::datapath::packet::Packet;
use crate::datapath::parse::Headers;
use crate::datapath::reply::{self, source_of};
use crate::datapath::tables::Tables;
use crate::datapath::transition::{self, Arrival, Segment};
use crate::datapath::{forward, service};

/// At XDP. None: about nothing of ours, untouched.
///
/// A function of its own in the kernel too: what it keeps on the stack would not fit beside what a TCP packet needs.
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
    let Some(service) = service::find(tables, &flow) else {
        return restore(packet, tables, outer, &flow);
    };
    let outcome = match owner(tables, service, &flow).result() {
        Ok(local) => match service::backend(tables, service, local) {
            Some((_, backend)) => match to_backend(packet, service, outer, &flow, backend) {
                Counter::ForwardIcmp => Outcome::forward(Counter::ForwardIcmp, backend.interface),
                counter => Outcome::stop(counter),
            },
            None => Outcome::stop(Counter::DropNoBackend),
        },
        Err(counter) => Outcome::stop(counter),
    };
    Some(outcome)
}

/// The backend of the flow. A function of its own in the kernel too, as are the others here: called one after the other,
/// they share the stack.
#[inline(never)]
fn owner<T: Tables>(tables: &T, service: &Service, flow: &Headers) -> Choice {
    let mut arrival = Arrival {
        flow_hash: 0,
        slot: 0,
        segment: Segment::Bare,
        sequence: 0,
    };
    if service::place(tables, service, flow, &mut arrival).is_none() {
        return Choice::drop(Counter::DropInternal);
    }
    transition::owner(tables, service, &arrival)
}

/// As the flow's own packets, but for what is written. It is no traffic of the backend: neither its share nor its
/// handshakes are measured by errors. (Returns a number, not an [`Outcome`]: a place for it would be a sixth argument.)
#[inline(never)]
fn to_backend<P: Packet>(
    packet: &mut P,
    service: &Service,
    outer: &Headers,
    flow: &Headers,
    backend: &Backend,
) -> Counter {
    let nat = service.mode == Mode::Nat as u8;
    if nat && backend.is(Backend::LOCAL) {
        return match translate::to_backend(packet, outer, flow, backend, outer.ttl) {
            Some(()) => Counter::DeliverIcmp,
            None => Counter::DropInternal,
        };
    }
    if nat && outer.ttl <= 1 {
        return Counter::DropTtl;
    }
    if let Err(counter) = forward::next_hop(packet, outer, backend) {
        return counter;
    }
    if nat && translate::to_backend(packet, outer, flow, backend, outer.ttl - 1).is_none() {
        return Counter::DropInternal;
    }
    Counter::ForwardIcmp
}

/// An error about a client's packet as the backend got it, from the backend or a router before it.
#[inline(never)]
fn restore<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    outer: &Headers,
    flow: &Headers,
) -> Option<Outcome> {
    let reply = source_of(tables, flow)?;
    // As in `reply`.
    if outer.ttl <= 1 {
        return Some(Outcome::stop(Counter::DropTtl));
    }
    let hop = packet.route(&reply.vip, &outer.destination, outer.protocol, outer.length);
    let ttl = outer.ttl - u8::from(hop.is_some());
    let written = translate::to_client(packet, outer, flow, reply, ttl);
    Some(match (written, hop) {
        (None, _) => Outcome::stop(Counter::DropInternal),
        (Some(()), None) => Outcome::stop(Counter::ReplyStack),
        (Some(()), Some(hop)) => match reply::send(packet, &hop) {
            Some(()) => Outcome::forward(Counter::ReplyIcmp, hop.interface),
            None => Outcome::stop(Counter::DropInternal),
        },
    })
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
    let reply = source_of(tables, &flow)?;
    let counter = match translate::to_client(packet, outer, &flow, reply, outer.ttl) {
        Some(()) => Counter::ReplyLocal,
        None => Counter::DropInternal,
    };
    tables.count(counter);
    Some(Outcome::stop(counter))
}
