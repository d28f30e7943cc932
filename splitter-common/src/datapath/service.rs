//! A packet of a service: its slot, its backend, its way.

use super::hairpin::{self, Turn};
use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::{self, Headers};
use super::tables::Tables;
use super::transition::{self, Arrival, Segment};
use super::{forward, fragment, measure, reverse, route};
use crate::abi::{Backend, Counter, Flows, Service, ServiceKey, Verdict};
use crate::hash;
use crate::wire::header::{ACK, FIN, RST, SYN, TCP};

/// The service that a packet is for, and its index in `SERVICES`.
#[inline(always)]
pub fn find<'a, T: Tables>(tables: &'a T, headers: &Headers) -> Option<(u32, &'a Service)> {
    let key = ServiceKey {
        vip: headers.destination,
        port: headers.destination_port,
        protocol: headers.protocol,
        reserved: 0,
    };
    let index = tables.service_index(&key)?;
    Some((index, tables.service(index)?))
}

/// Sends a packet of `service` to the backend that its flow belongs to.
#[inline(always)]
pub fn steer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    index: u32,
    service: &Service,
    headers: &mut Headers,
) -> Outcome {
    if parse::transport(packet, headers).is_none() {
        return Outcome::stop(Counter::DropMalformed);
    }
    if headers.protocol == TCP && is_nonsense(headers.flags) {
        return Outcome::stop(Counter::DropFlags);
    }
    let mut flow = Flow {
        arrival: Arrival {
            flow_hash: 0,
            slot: 0,
            segment: if headers.protocol == TCP {
                segment(headers)
            } else {
                Segment::Datagram
            },
            sequence: headers.sequence,
        },
        local: 0,
        turn: Turn::NONE,
    };
    if place(tables, service, headers, &mut flow.arrival).is_none() {
        return Outcome::stop(Counter::DropInternal);
    }
    match choose(tables, service, headers, &flow.arrival) {
        Ok(local) => {
            flow.local = local;
            if let Some(counter) = remember(tables, service, headers, packet.interface(), &mut flow)
            {
                return Outcome::stop(counter);
            }
            let outcome = send(packet, tables, service, headers, &flow);
            if headers.fragment == Headers::FIRST
                && outcome.counter.verdict() as u32 != Verdict::Drop as u32
            {
                let backend = service.first_backend.wrapping_add(u32::from(local));
                fragment::went_to_backend(tables, headers, index, backend);
            }
            outcome
        }
        Err(counter) => Outcome::stop(counter),
    }
}

/// What is known of a packet's flow.
struct Flow {
    arrival: Arrival,
    /// Its backend's number local to the service.
    local: u16,
    /// What its source becomes.
    turn: Turn,
}

/// Finds the flow's slot in the row that governs its client. This and [`send`] are functions of their own in the kernel
/// too, called one after the other: what they keep on the stack would not fit beside what [`transition::choose`] does.
#[inline(never)]
pub(super) fn place<T: Tables>(
    tables: &T,
    service: &Service,
    headers: &Headers,
    arrival: &mut Arrival,
) -> Option<()> {
    let settings = tables.settings()?;
    arrival.flow_hash = hash::flow_hash(&settings.hash_key, headers);
    let slot = hash::slot(&settings.hash_key, service, headers, arrival.flow_hash);
    arrival.slot = slot
        .wrapping_sub(service.first_slot)
        .wrapping_add(route::row(tables, service, &headers.source));
    Some(())
}

/// The backend (number local to the service): by the rules of transitions, or, for UDP with `flows = "hash"`, by the
/// table in force.
#[inline(always)]
fn choose<T: Tables>(
    tables: &T,
    service: &Service,
    headers: &Headers,
    arrival: &Arrival,
) -> Result<u16, Counter> {
    if headers.protocol == TCP || service.flows != Flows::Hash as u8 {
        return transition::choose(tables, service, arrival);
    }
    match tables.slot(arrival.slot) {
        Some(word) => Ok(word.current()),
        None => Err(Counter::DropInternal),
    }
}

/// Where the way back asks for it, remembers whose flow it is; a counter: it may not go on.
#[inline(always)]
fn remember<T: Tables>(
    tables: &T,
    service: &Service,
    headers: &Headers,
    came_in: u32,
    flow: &mut Flow,
) -> Option<Counter> {
    match memory(tables, service, headers, came_in, flow.local) {
        Memory::HAIRPIN => {
            flow.turn = hairpin::call(tables, service, headers, flow.local);
            flow.turn.is_refused().then_some(Counter::DropHairpin)
        }
        Memory::REVERSE => reverse::admit(tables, service, headers, flow.local).refused(),
        _ => None,
    }
}

/// What the way back of a flow needs; a number, as in [`choice`](super::choice).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Memory(u32);

impl Memory {
    const NONE: Self = Self(0);
    const HAIRPIN: Self = Self(1);
    const REVERSE: Self = Self(2);
}

#[inline(never)]
fn memory<T: Tables>(
    tables: &T,
    service: &Service,
    headers: &Headers,
    came_in: u32,
    local: u16,
) -> Memory {
    match backend(tables, service, local) {
        Some((_, backend)) if hairpin::is_needed(tables, service, headers, backend, came_in) => {
            Memory::HAIRPIN
        }
        Some((_, backend)) if backend.is(Backend::SHARED) => Memory::REVERSE,
        _ => Memory::NONE,
    }
}

/// Rewrites the packet for its backend and counts it there.
#[inline(never)]
fn send<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    service: &Service,
    headers: &mut Headers,
    flow: &Flow,
) -> Outcome {
    let Some((index, backend)) = backend(tables, service, flow.local) else {
        return Outcome::stop(Counter::DropNoBackend);
    };
    let bytes = packet.len() as u64;
    let flow_hash = flow.arrival.flow_hash;
    let outcome = match forward::forward(packet, service, headers, backend, index) {
        Ok(outcome) => outcome,
        Err(counter) => return Outcome::stop(counter),
    };
    if flow.turn != Turn::NONE && hairpin::turn(packet, tables, headers, flow.turn.port()).is_none()
    {
        return Outcome::stop(Counter::DropInternal);
    }
    let handshake =
        headers.protocol == TCP && measure::handshake(tables, flow_hash, headers, flow.local);
    tables.count_traffic(index, bytes, is_syn(headers), handshake);
    outcome
}

/// What a TCP segment means to the transition rules.
#[inline(always)]
pub fn segment(headers: &Headers) -> Segment {
    if is_syn(headers) {
        Segment::Syn
    } else if headers.flags & RST != 0 {
        Segment::Reset
    } else if headers.flags & FIN != 0 {
        Segment::Fin
    } else if headers.payload != 0 {
        Segment::Payload
    } else {
        Segment::Bare
    }
}

/// TCP flags that no stack sends to a server: a probe, or the answer to a SYN that somebody sent in the VIP's name. They
/// mean nothing, so they neither make nor end a flow.
#[inline(always)]
pub fn is_nonsense(flags: u8) -> bool {
    match flags & (SYN | ACK | RST | FIN) {
        0 | FIN => true,
        others => others & SYN != 0 && others != SYN,
    }
}

/// A client's first packet.
#[inline(always)]
pub fn is_syn(headers: &Headers) -> bool {
    headers.flags & (SYN | ACK | RST | FIN) == SYN
}

/// A backend of the service that can take packets, with its index in `BACKENDS`.
#[inline(always)]
pub fn backend<'a, T: Tables>(
    tables: &'a T,
    service: &Service,
    local: u16,
) -> Option<(u32, &'a Backend)> {
    if u32::from(local) >= service.backend_count {
        return None;
    }
    let index = service.first_backend.wrapping_add(u32::from(local));
    let backend = tables.backend(index)?;
    backend.is(Backend::ALIVE).then_some((index, backend))
}
