//! Fragments follow the first one of their datagram, which alone has the ports.
//!
//! A first fragment is steered like a whole packet and leaves a note of where it went; the later ones go there, also
//! when the slot changed in between. One that comes before its first is dropped: XDP cannot hold packets back. The table
//! of notes has a fixed size and forgets those that were not used for the longest time; it has nothing to do with flow
//! records. A note is replaced by the next first fragment of the same name: names (16 bits in IPv4) come again soon.

use super::forward;
use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::Headers;
use super::reply;
use super::tables::Tables;
use crate::abi::{Address, Backend, Counter, Fragment, FragmentKey};

/// How long a first fragment counts, nanoseconds: what receivers wait for the others at most (Linux 30 s; RFC 791 §3.2
/// and RFC 8200 §4.5 speak of 15 s and 60 s).
pub const LIFETIME_NS: u64 = 30_000_000_000;

/// Steers a later fragment.
#[inline(always)]
pub fn follow<P: Packet, T: Tables>(packet: &mut P, tables: &T, headers: &Headers) -> Outcome {
    let Some(note) = find(tables, headers) else {
        // To a VIP it may have been for a service; anywhere else it is the stack's, as it always was.
        return Outcome::stop(match tables.vip(&headers.destination) {
            Some(_) => Counter::DropFragmentBeforeFirst,
            None => Counter::PassNoService,
        });
    };
    if note.way == Fragment::STACK {
        return Outcome::stop(Counter::PassOther);
    }
    if is_impossible(headers, note.end) {
        return Outcome::stop(Counter::DropMalformed);
    }
    match note.way {
        Fragment::BACKEND => to_backend(packet, tables, headers, &note),
        Fragment::REPLY => reply::forward(packet, headers, &note.vip, 0),
        _ => Outcome::stop(Counter::DropInternal),
    }
}

/// Whether a later fragment is empty, reaches beyond the longest datagram, or overlaps the first one, which ends at `end`:
/// it could change the ports and flags that were judged there (RFC 1858 §3, RFC 5722 §4).
#[inline(always)]
fn is_impossible(headers: &Headers, end: u32) -> bool {
    let (room, offset) = (headers.room(), u32::from(headers.fragment_offset));
    room == 0 || offset < end || 8 * offset as usize + room > usize::from(u16::MAX)
}

/// The note of a fragment's datagram that counts. In place, where the table has it: the stack has no room for it.
#[inline(never)]
pub fn find<'a, T: Tables>(tables: &'a T, headers: &Headers) -> Option<T::Note<'a>> {
    let note = tables.fragment(&key(headers))?;
    (tables.now().saturating_sub(note.seen_ns) < LIFETIME_NS).then_some(note)
}

#[inline(never)]
fn to_backend<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    note: &Fragment,
) -> Outcome {
    let (Some(service), Some(backend)) =
        (tables.service(note.service), tables.backend(note.backend))
    else {
        return Outcome::stop(Counter::DropInternal);
    };
    if !backend.is(Backend::ALIVE) {
        return Outcome::stop(Counter::DropNoBackend);
    }
    let bytes = packet.len() as u64;
    match forward::forward(packet, service, headers, backend) {
        Ok(outcome) => {
            tables.count_traffic(note.backend, bytes, false, false);
            outcome
        }
        Err(counter) => Outcome::stop(counter),
    }
}

/// Notes that a first fragment went to a backend, both by their indices.
#[inline(never)]
pub fn went_to_backend<T: Tables>(tables: &T, headers: &Headers, service: u32, backend: u32) {
    let note = Fragment {
        seen_ns: tables.now(),
        way: Fragment::BACKEND,
        service,
        backend,
        end: end(headers),
        ..Fragment::default()
    };
    tables.set_fragment(&key(headers), &note);
}

/// Notes that a first fragment was a reply, of which `vip` became the source.
#[inline(never)]
pub fn was_reply<T: Tables>(tables: &T, headers: &Headers, vip: &Address) {
    let note = Fragment {
        seen_ns: tables.now(),
        way: Fragment::REPLY,
        end: end(headers),
        vip: *vip,
        ..Fragment::default()
    };
    tables.set_fragment(&key(headers), &note);
}

/// Notes that a first fragment to a VIP was the stack's.
#[inline(never)]
pub fn went_to_stack<T: Tables>(tables: &T, headers: &Headers) {
    let note = Fragment {
        seen_ns: tables.now(),
        way: Fragment::STACK,
        ..Fragment::default()
    };
    tables.set_fragment(&key(headers), &note);
}

/// Where a first fragment ends, in units of 8 bytes.
#[inline(always)]
fn end(headers: &Headers) -> u32 {
    headers.room() as u32 / 8
}

/// The name of a fragment's datagram.
#[inline(always)]
pub fn key(headers: &Headers) -> FragmentKey {
    FragmentKey {
        source: headers.source,
        destination: headers.destination,
        id: headers.fragment_id,
        protocol: if headers.ipv6 == 0 {
            u32::from(headers.protocol)
        } else {
            0
        },
    }
}
