//! The steering: what becomes of a packet. [`steer`] tells the story; each stage is a file.

pub mod choice;
pub mod encapsulate;
pub mod extensions;
pub mod flow_table;
pub mod forward;
pub mod fragment;
pub mod hairpin;
pub mod icmp;
pub mod measure;
pub mod neighbour;
pub mod originate;
pub mod outcome;
pub mod packet;
pub mod parse;
pub mod reply;
pub mod reverse;
pub mod rewrite;
pub mod route;
pub mod service;
pub mod tables;
pub mod transition;

use crate::abi::{Address, Counter};
use outcome::Outcome;
use packet::Packet;
use parse::{Headers, Parsed};
use tables::Tables;

use crate::wire::header::{ICMP, ICMPV6};

/// Steers a packet and counts it, once. What is not ours passes without a byte written.
#[inline(always)]
pub fn steer<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Outcome {
    let mut headers = Headers::default();
    let outcome = match parse::parse(packet, &mut headers) {
        Parsed::Transport if to_group(packet) => Outcome::stop(other(tables, &headers.destination)),
        Parsed::Transport => match service::find(tables, &headers) {
            Some((index, service)) => service::steer(packet, tables, index, service, &mut headers),
            None if hairpin::is_source(tables, &headers) => {
                hairpin::back(packet, tables, &mut headers)
            }
            None => match reply::source_of(tables, &headers) {
                Some(reply) => reply::restore(packet, tables, &mut headers, reply),
                None => unclaimed(tables, &headers),
            },
        },
        Parsed::Fragment if to_group(packet) => Outcome::stop(other(tables, &headers.destination)),
        Parsed::Fragment => fragment::follow(packet, tables, &mut headers),
        Parsed::Arp if neighbour::answer_arp(packet, tables, headers.l3) => {
            neighbour::answered(packet)
        }
        Parsed::Arp => Outcome::stop(Counter::PassNotIp),
        Parsed::Icmp | Parsed::Icmpv6 => icmp::steer(packet, tables, &mut headers)
            .unwrap_or(Outcome::stop(other(tables, &headers.destination))),
        Parsed::Other => Outcome::stop(other(tables, &headers.destination)),
        Parsed::NotIp => Outcome::stop(Counter::PassNotIp),
        Parsed::Malformed => Outcome::stop(Counter::PassMalformed),
    };
    // Here and not where it was found out: what that keeps on the stack is gone by now.
    let outcome = match outcome.counter {
        Counter::DropTooLong => told(packet, tables, &headers),
        Counter::ForwardIpip => encapsulated(packet, tables, &headers, outcome.interface),
        _ => outcome,
    };
    tables.count(outcome.counter);
    outcome
}

/// Puts a packet into one to a backend, by its index.
#[inline(always)]
fn encapsulated<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    backend: u32,
) -> Outcome {
    match tables.backend(backend) {
        Some(to) if encapsulate::finish(packet, tables, headers, backend) => {
            Outcome::forward(sort(headers), to.interface)
        }
        _ => Outcome::stop(Counter::DropInternal),
    }
}

/// What a packet inside another one is counted as.
#[inline(always)]
const fn sort(headers: &Headers) -> Counter {
    match headers.protocol {
        ICMP | ICMPV6 => Counter::ForwardIcmp,
        _ => Counter::ForwardIpip,
    }
}

/// Tells the sender of a packet that it is too long, where that is due.
#[inline(always)]
fn told<P: Packet, T: Tables>(packet: &mut P, tables: &T, headers: &Headers) -> Outcome {
    match originate::too_long(packet, tables, headers) {
        Counter::AnswerTooLong => Outcome::forward(Counter::AnswerTooLong, packet.interface()),
        counter => Outcome::stop(counter),
    }
}

/// TCP or UDP that is neither for a service nor a reply: the stack's, with all its fragments.
#[inline(always)]
fn unclaimed<T: Tables>(tables: &T, headers: &Headers) -> Outcome {
    if headers.fragment == Headers::FIRST && tables.vip(&headers.destination).is_some() {
        fragment::went_to_stack(tables, headers);
    }
    Outcome::stop(Counter::PassNoService)
}

/// Whether a frame is for all hosts of the link or a group of them (IEEE 802, the first bit sent): every edge host
/// there would forward it, and backends would get it more than once.
#[inline(always)]
fn to_group<P: Packet>(packet: &P) -> bool {
    packet.read::<1>(0).is_none_or(|[first]| first & 1 != 0)
}

/// IP that is not steered: to a VIP or not, it is the stack's.
#[inline(always)]
fn other<T: Tables>(tables: &T, destination: &Address) -> Counter {
    match tables.vip(destination) {
        Some(_) => Counter::PassOther,
        None => Counter::PassNoService,
    }
}
