//! A backend behind this host that dials a `nat` VIP and gets a backend on the link it came from. That backend would
//! answer the caller directly, with its own address, and the caller knows nobody of that address. So the caller's address
//! becomes the configured hairpin source, to which the answer comes back; here it is turned round again.
//!
//! Each call is remembered under two keys, as what the caller sends and as what the backend answers, and has a port of its
//! own at the hairpin source. The map evicts what was not used for longest, which is not safe against a flood; only
//! addresses of backends can make entries, and these are few and trusted.

use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::{self, Headers};
use super::service::backend;
use super::tables::Tables;
use super::{reply, rewrite};
use crate::abi::{Address, Backend, Counter, Hairpin, HairpinKey, Leg, Mode, Service};
use crate::hash;

/// Ports that are tried for a call.
const TRIES: u32 = 4;
/// Ports at the hairpin source: from here on.
const FIRST_PORT: u16 = 0x8000;
/// How old the time of a call may become before it is written again.
const SEEN_NS: u64 = 1_000_000_000;

/// How a packet's source is turned, in a number that always has a value: see [`choice`](super::choice).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u32);

impl Turn {
    /// Not at all.
    pub const NONE: Self = Self(0);
    /// It would have to be, and cannot: the packet is dropped.
    const REFUSED: Self = Self(u32::MAX);

    /// Whether the packet is to be dropped.
    #[inline(always)]
    pub const fn is_refused(self) -> bool {
        self.0 == u32::MAX
    }

    /// The port at the hairpin source, or 0.
    #[inline(always)]
    pub const fn port(self) -> u16 {
        self.0 as u16
    }
}

/// Whether a packet's answer would go past this host: it comes from a backend and its way to `backend` leads back.
#[inline(always)]
pub fn is_needed<T: Tables>(
    tables: &T,
    service: &Service,
    headers: &Headers,
    backend: &Backend,
    came_in: u32,
) -> bool {
    service.mode == Mode::Nat as u8
        && !backend.is(Backend::LOCAL)
        && backend.interface == came_in
        && tables.is_backend(&headers.source)
}

/// The hairpin source of a family; all zero: none.
#[inline(always)]
pub fn source<T: Tables>(tables: &T, ipv6: u8) -> Address {
    match tables.settings() {
        Some(settings) => settings.hairpin_source[usize::from(ipv6 & 1)],
        None => [0; 16],
    }
}

/// Whether a packet is for the hairpin source.
#[inline(always)]
pub fn is_source<T: Tables>(tables: &T, headers: &Headers) -> bool {
    headers.destination != [0; 16] && source(tables, headers.ipv6) == headers.destination
}

/// Finds the port of a call to backend `local`, or gives it one.
#[inline(never)]
pub fn call<T: Tables>(tables: &T, service: &Service, headers: &Headers, local: u16) -> Turn {
    let Some((_, backend)) = backend(tables, service, local) else {
        return Turn::REFUSED;
    };
    // Its other fragments would not be turned.
    if headers.fragment != 0 {
        return Turn::REFUSED;
    }
    let mut wanted = Hairpin {
        caller: headers.source,
        vip: headers.destination,
        backend: backend.address,
        caller_port: headers.source_port,
        vip_port: headers.destination_port,
        backend_port: if backend.port == 0 {
            headers.destination_port
        } else {
            backend.port
        },
        port: 0,
        seen: tables.now(),
    };
    find(tables, service, headers, &mut wanted)
}

#[inline(never)]
fn find<T: Tables>(tables: &T, service: &Service, headers: &Headers, wanted: &mut Hairpin) -> Turn {
    let mut answer = HairpinKey {
        near: source(tables, headers.ipv6),
        far: wanted.backend,
        near_port: 0,
        far_port: wanted.backend_port,
        protocol: headers.protocol,
        leg: Leg::Answer as u8,
        reserved: 0,
    };
    if answer.near == [0; 16] {
        return Turn::REFUSED;
    }
    let call = HairpinKey {
        near: wanted.caller,
        far: wanted.vip,
        near_port: wanted.caller_port,
        far_port: wanted.vip_port,
        protocol: headers.protocol,
        leg: Leg::Call as u8,
        reserved: 0,
    };
    if let Some(known) = tables.hairpin(&call)
        && known.backend == wanted.backend
        && known.backend_port == wanted.backend_port
    {
        answer.near_port = known.port;
        let age = wanted.seen.saturating_sub(known.seen);
        if let Some(other) = tables.hairpin(&answer)
            && is_same(other, wanted)
        {
            wanted.port = answer.near_port;
            if age > SEEN_NS {
                // They were found: to write them again needs no room.
                tables.set_hairpin(&call, wanted, false);
                tables.set_hairpin(&answer, wanted, false);
            }
            return Turn(u32::from(wanted.port));
        }
    }
    // A port that nobody has at this backend, the caller's own, or one of a call that is over. Which ones are tried
    // follows from the call, so that one whose entry was lost finds it again.
    let Some(settings) = tables.settings() else {
        return Turn::REFUSED;
    };
    let hash = hash::flow_hash(&settings.hash_key, headers);
    for attempt in 0..TRIES {
        answer.near_port = FIRST_PORT | (hash >> (16 * attempt)) as u16;
        let mut new = true;
        if let Some(other) = tables.hairpin(&answer) {
            let over = wanted.seen.saturating_sub(other.seen) > service.record_ns;
            if !over && !is_same(other, wanted) {
                continue;
            }
            new = false;
        }
        wanted.port = answer.near_port;
        if tables.set_hairpin(&answer, wanted, new) && tables.set_hairpin(&call, wanted, false) {
            return Turn(u32::from(wanted.port));
        }
    }
    Turn::REFUSED
}

/// Whether two are one call.
#[inline(always)]
fn is_same(hairpin: &Hairpin, wanted: &Hairpin) -> bool {
    hairpin.caller == wanted.caller
        && hairpin.vip == wanted.vip
        && hairpin.caller_port == wanted.caller_port
        && hairpin.vip_port == wanted.vip_port
}

/// A packet to the hairpin source: the answer to a call, or nobody's.
#[inline(never)]
pub fn back<P: Packet, T: Tables>(packet: &mut P, tables: &T, headers: &mut Headers) -> Outcome {
    let key = HairpinKey {
        near: headers.destination,
        far: headers.source,
        near_port: headers.destination_port,
        far_port: headers.source_port,
        protocol: headers.protocol,
        leg: Leg::Answer as u8,
        reserved: 0,
    };
    let Some(hairpin) = tables.hairpin(&key) else {
        return Outcome::stop(Counter::DropHairpin);
    };
    if headers.fragment != 0 {
        return Outcome::stop(Counter::DropHairpin);
    }
    if parse::transport(packet, headers).is_none() {
        return Outcome::stop(Counter::DropMalformed);
    }
    if headers.ttl <= 1 {
        return Outcome::stop(Counter::DropTtl);
    }
    let hop = packet.route(
        &hairpin.vip,
        &hairpin.caller,
        headers.protocol,
        headers.length,
    );
    // Where only the stack knows the way, it takes one from the time to live.
    let ttl = headers.ttl - u8::from(hop.is_some());
    let (caller, port) = (&hairpin.caller, hairpin.caller_port);
    if rewrite::destination(packet, headers, caller, port, ttl).is_none() {
        return Outcome::stop(Counter::DropInternal);
    }
    headers.ttl = ttl;
    if rewrite::source(packet, headers, &hairpin.vip, hairpin.vip_port, ttl).is_none() {
        return Outcome::stop(Counter::DropInternal);
    }
    match hop {
        None => Outcome::stop(Counter::ReplyStack),
        Some(hop) => match reply::send(packet, headers, &hop) {
            Some(()) => Outcome::forward(Counter::ReplyNat, hop.interface),
            None => Outcome::stop(Counter::DropInternal),
        },
    }
}

/// Puts the hairpin source and `port` into a packet that was rewritten for its backend, time to live included.
#[inline(always)]
pub fn turn<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    port: u16,
) -> Option<()> {
    let source = source(tables, headers.ipv6);
    let mut written = *headers;
    written.ttl = headers.ttl.wrapping_sub(1);
    rewrite::source(packet, &written, &source, port, written.ttl)
}
