//! The way back in `nat` mode: a reply's source becomes the VIP again, at XDP ([`restore`]) for backends behind this
//! host, at TC egress ([`leave`]) for those on it.
//!
//! A packet to an address that this host owns is never touched: it is the answer to a health check or to an operator's
//! own connection, which dialled the backend and not the VIP.

use super::forward::untag;
use super::fragment;
use super::icmp;
use super::outcome::Outcome;
use super::packet::Packet;
use super::parse::{self, Headers, Parsed};
use super::tables::{NextHop, Tables};
use super::{reverse, rewrite};
use crate::abi::{Address, Counter, Fragment, Reply, ReplyKey, Verdict};
use crate::wire::header::{
    ETH_SOURCE, IPV4_CHECKSUM, IPV4_SOURCE, IPV6_SOURCE, SOURCE_PORT, TCP, TCP_CHECKSUM,
    UDP_CHECKSUM,
};

/// At XDP: sends a reply of a backend behind this host to its client; `reply` is what [`source_of`] found.
///
/// Where the kernel's routing knows the next hop, the reply is forwarded. Where it does not, the stack forwards it, and
/// takes one from its time to live as any router. In the kernel the steps are functions called one after the other: on
/// top of one another they would not fit on the stack.
#[inline(always)]
pub fn restore<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &mut Headers,
    reply: &Reply,
) -> Outcome {
    if parse::transport(packet, headers).is_none() {
        return Outcome::stop(Counter::DropMalformed);
    }
    let mut from = *reply;
    settle(tables, headers, &mut from);
    let outcome = forward(packet, headers, &from.vip, from.port);
    if headers.fragment == Headers::FIRST
        && outcome.counter.verdict() as u32 != Verdict::Drop as u32
    {
        fragment::was_reply(tables, headers, &from.vip);
    }
    outcome
}

/// Sends a reply on to its client, from the VIP; `port` is the service's, of no meaning for a later fragment.
#[inline(never)]
pub fn forward<P: Packet>(packet: &mut P, headers: &Headers, vip: &Address, port: u16) -> Outcome {
    // The stack would answer "time exceeded" to the VIP, that is, to nobody.
    if headers.ttl <= 1 {
        return Outcome::stop(Counter::DropTtl);
    }
    let hop = packet.route(vip, &headers.destination, headers.protocol, headers.length);
    let ttl = headers.ttl - u8::from(hop.is_some());
    let written = rewrite::source(packet, headers, vip, port, ttl);
    match (written, hop) {
        (None, _) => Outcome::stop(Counter::DropInternal),
        (Some(()), None) => Outcome::stop(Counter::ReplyStack),
        (Some(()), Some(hop)) => match send(packet, headers, &hop) {
            Some(()) => Outcome::forward(Counter::ReplyNat, hop.interface),
            None => Outcome::stop(Counter::DropInternal),
        },
    }
}

/// A packet on its way out of this host, at TC egress. Its checksums may be partial (the device completes them), so
/// they are corrected by the kernel's helpers, which know; `write` of [`Packet`] writes what has no partial checksum (ICMP),
/// and `route` is not called.
pub trait Egress: Packet {
    /// Puts an IPv4 address where `old` stands at `offset`, and corrects the header checksum at `l3_checksum` and the
    /// transport checksum at `l4_checksum` (`udp`: where none stays none; 0: there is none, in a later fragment).
    fn replace_v4(
        &mut self,
        offset: usize,
        l3_checksum: usize,
        l4_checksum: usize,
        udp: bool,
        addresses: ([u8; 4], [u8; 4]),
    ) -> Option<()>;
    /// The same for an IPv6 address.
    fn replace_v6(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        addresses: (&Address, &Address),
    ) -> Option<()>;
    /// The same for a port.
    fn replace_port(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        ports: (u16, u16),
    ) -> Option<()>;
}

/// At TC egress: a reply of a backend on this host gets the VIP for its source. None: not a reply, untouched and not
/// counted; whatever else the host sends is not the data plane's. One that could not be rewritten, or only in part, is
/// dropped: it must not leave with another source, or a wrong checksum.
#[inline(always)]
pub fn leave<E: Egress, T: Tables>(packet: &mut E, tables: &T) -> Option<Outcome> {
    let mut headers = Headers::default();
    let mut from = Reply::default();
    match parse::parse(packet, &mut headers) {
        Parsed::Transport => {
            from = *source_of(tables, &headers)?;
            settle(tables, &headers, &mut from);
            parse::transport(packet, &mut headers)?;
        }
        Parsed::Fragment => {
            let note = fragment::find(tables, &headers)?;
            if note.way != Fragment::REPLY {
                return None;
            }
            from.vip = note.vip;
        }
        Parsed::Icmp | Parsed::Icmpv6 => return icmp::leave(packet, tables, &headers),
        _ => return None,
    }
    if headers.fragment == Headers::FIRST {
        fragment::was_reply(tables, &headers, &from.vip);
    }
    let outcome = Outcome::stop(match replace(packet, &headers, &from) {
        Some(()) => Counter::ReplyLocal,
        None => Counter::DropInternal,
    });
    tables.count(outcome.counter);
    Some(outcome)
}

/// Puts the VIP and the service's port in.
#[inline(always)]
fn replace<E: Egress>(packet: &mut E, headers: &Headers, from: &Reply) -> Option<()> {
    let udp = headers.protocol != TCP;
    let later = headers.fragment == Headers::LATER;
    let (l3, l4) = (headers.l3, headers.l4);
    let checksum = match (later, udp) {
        (true, _) => 0,
        (false, true) => l4 + UDP_CHECKSUM,
        (false, false) => l4 + TCP_CHECKSUM,
    };
    if headers.ipv6 == 0 {
        let addresses = (v4(&headers.source), v4(&from.vip));
        packet.replace_v4(
            l3 + IPV4_SOURCE,
            l3 + IPV4_CHECKSUM,
            checksum,
            udp,
            addresses,
        )?;
    } else {
        let addresses = (&headers.source, &from.vip);
        packet.replace_v6(l3 + IPV6_SOURCE, checksum, udp, addresses)?;
    }
    if later {
        return Some(());
    }
    let ports = (headers.source_port, from.port);
    packet.replace_port(l4 + SOURCE_PORT, checksum, udp, ports)
}

/// What the source of a packet becomes, if it is a reply to a client.
#[inline(never)]
pub fn source_of<'a, T: Tables>(tables: &'a T, headers: &Headers) -> Option<&'a Reply> {
    let key = ReplyKey {
        address: headers.source,
        port: headers.source_port,
        protocol: headers.protocol,
        reserved: 0,
    };
    let reply = tables.reply(&key)?;
    (!tables.owns(&headers.destination)).then_some(reply)
}

/// Makes of the row of a reply what its own source becomes: a backend of several services has a record of its flow.
#[inline(always)]
pub fn settle<T: Tables>(tables: &T, headers: &Headers, reply: &mut Reply) {
    if reply.shared != 0 {
        reverse::resolve(tables, headers, reply);
    }
}

/// Addresses the frame to the next hop.
#[inline(always)]
pub(super) fn send<P: Packet>(packet: &mut P, headers: &Headers, hop: &NextHop) -> Option<()> {
    packet.write(0, hop.destination_mac)?;
    packet.write(ETH_SOURCE, hop.source_mac)?;
    untag(packet, headers, hop.interface)
}

#[inline(always)]
const fn v4(address: &Address) -> [u8; 4] {
    [address[12], address[13], address[14], address[15]]
}
