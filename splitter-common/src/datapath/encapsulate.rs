//! `ipip`: the client's packet travels whole inside another one, to a backend that takes it out again (RFC 2003, RFC
//! 2473). Either family goes in either.
//!
//! The outer source is made of the flow hash, so that the backend's network card spreads flows over its queues, and is the
//! same for all packets of a flow; over IPv6 the flow label is made of it too (RFC 6438). DSCP and ECN are copied
//! outwards (RFC 2983 §4, RFC 6040 §4.1, normal mode).

use super::originate::{Ipv4, Ipv6, v4};
use super::packet::Packet;
use super::parse::Headers;
use super::tables::Tables;
use crate::abi::{Address, Backend, Settings, mapped};
use crate::hash;
use crate::wire::checksum::Change;
use crate::wire::header::{
    ETH_LEN, ETH_SOURCE, ETH_TYPE, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4_CHECKSUM,
    IPV4_DONT_FRAGMENT, IPV4_IN_IP, IPV4_LEN, IPV4_TTL, IPV6_HOP_LIMIT, IPV6_IN_IP, IPV6_LEN,
};

/// Bytes that the outer header adds.
#[inline(always)]
pub fn overhead(backend: &Backend) -> u16 {
    if is_v4(&backend.address) {
        IPV4_LEN as u16
    } else {
        IPV6_LEN as u16
    }
}

/// What the outer header takes over of the inner one.
struct Inner {
    /// DSCP and ECN.
    class: u8,
    /// Identification and flags of the outer IPv4 header.
    id: u16,
    flags: u16,
    /// IP protocol number of what is inside.
    protocol: u8,
}

/// Puts a packet into one to the backend at `index` in `BACKENDS` and addresses the frame to its next hop, without a VLAN
/// tag. That it fits, that it has time to live, and that the next hop is known was asked before. False where it could
/// not be written.
///
/// Called from the top of the steering, and for each family a function of its own: the kernel's stack has no room for
/// both, nor for either below what chose the backend. A later fragment does not tell its flow; its datagram stands for it.
#[inline(never)]
pub fn finish<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    index: u32,
) -> bool {
    let (Some(settings), Some(backend)) = (tables.settings(), tables.backend(index)) else {
        return false;
    };
    let flow_hash = hash::flow_hash(&settings.hash_key, headers);
    if is_v4(&backend.address) {
        into_v4(packet, settings, headers, backend, flow_hash)
    } else {
        into_v6(packet, settings, headers, backend, flow_hash)
    }
}

#[inline(never)]
fn into_v4<P: Packet>(
    packet: &mut P,
    settings: &Settings,
    headers: &Headers,
    backend: &Backend,
    flow_hash: u64,
) -> bool {
    v4_around(packet, settings, headers, backend, flow_hash).is_some()
}

#[inline(always)]
fn v4_around<P: Packet>(
    packet: &mut P,
    settings: &Settings,
    headers: &Headers,
    backend: &Backend,
    flow_hash: u64,
) -> Option<()> {
    let source = settings.tunnel_v4.address(flow_hash);
    let inner = make_room(
        packet,
        headers,
        backend,
        flow_hash,
        (IPV4_LEN, ETHERTYPE_IPV4),
    )?;
    let outer = Ipv4 {
        class: inner.class,
        length: headers.length.wrapping_add(IPV4_LEN as u16),
        id: inner.id,
        flags: inner.flags,
        protocol: inner.protocol,
        source: v4(&source),
        destination: v4(&backend.address),
    };
    outer.write(packet, ETH_LEN)
}

#[inline(never)]
fn into_v6<P: Packet>(
    packet: &mut P,
    settings: &Settings,
    headers: &Headers,
    backend: &Backend,
    flow_hash: u64,
) -> bool {
    v6_around(packet, settings, headers, backend, flow_hash).is_some()
}

#[inline(always)]
fn v6_around<P: Packet>(
    packet: &mut P,
    settings: &Settings,
    headers: &Headers,
    backend: &Backend,
    flow_hash: u64,
) -> Option<()> {
    let source = settings.tunnel_v6.address(flow_hash);
    let inner = make_room(
        packet,
        headers,
        backend,
        flow_hash,
        (IPV6_LEN, ETHERTYPE_IPV6),
    )?;
    let outer = Ipv6 {
        class: inner.class,
        // Zero would say "no label" (RFC 6437 §2). The slot took other bits of the hash.
        label: ((flow_hash >> 20) as u32 & 0xf_ffff).max(1),
        length: headers.length,
        next: inner.protocol,
    };
    outer.write(packet, ETH_LEN, &source, &backend.address)
}

/// Reads what goes outwards, ages the inner packet, and puts a new Ethernet header and room for the outer IP header before
/// it; `outer` is the length and the EtherType of that.
#[inline(always)]
fn make_room<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    backend: &Backend,
    flow_hash: u64,
    outer: (usize, u16),
) -> Option<Inner> {
    let inner = inner(packet, headers, flow_hash)?;
    age(packet, headers)?;
    grow(packet, headers.l3, outer.0)?;
    ethernet(packet, backend, outer.1)?;
    Some(inner)
}

#[inline(always)]
fn inner<P: Packet>(packet: &P, headers: &Headers, flow_hash: u64) -> Option<Inner> {
    let first = u64::from_be_bytes(packet.read::<8>(headers.l3)?);
    if headers.ipv6 != 0 {
        return Some(Inner {
            class: (first >> 52) as u8,
            id: 0,
            flags: IPV4_DONT_FRAGMENT,
            protocol: IPV6_IN_IP,
        });
    }
    let flags = first as u16 & IPV4_DONT_FRAGMENT;
    Some(Inner {
        class: (first >> 48) as u8,
        // An outer packet that may be fragmented needs a number that its like do not have (RFC 6864 §4): the client's own,
        // moved by what tells its flow from others with the same outer addresses.
        id: if flags == 0 {
            ((first >> 16) as u16).wrapping_add((flow_hash >> 32) as u16)
        } else {
            0
        },
        flags,
        protocol: IPV4_IN_IP,
    })
}

/// Takes one from the inner time to live: this host forwards (RFC 2003 §3.1, RFC 2473 §3.1).
#[inline(always)]
fn age<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    let (l3, ttl) = (headers.l3, headers.ttl);
    if headers.ipv6 != 0 {
        return packet.write(l3 + IPV6_HOP_LIMIT, [ttl.wrapping_sub(1)]);
    }
    let old = u16::from_be_bytes(packet.read(l3 + IPV4_CHECKSUM)?);
    let checksum = Change::none()
        .word(
            u16::from_be_bytes([ttl, 0]),
            u16::from_be_bytes([ttl.wrapping_sub(1), 0]),
        )
        .apply(old);
    packet.write(l3 + IPV4_TTL, [ttl.wrapping_sub(1)])?;
    packet.write(l3 + IPV4_CHECKSUM, checksum.to_be_bytes())
}

/// Makes room for `outer` bytes and an Ethernet header before the IP header at `l3`, whatever tags stood there.
#[inline(always)]
fn grow<P: Packet>(packet: &mut P, l3: usize, outer: usize) -> Option<()> {
    packet.grow_front((outer + ETH_LEN) as i32 - l3 as i32)
}

#[inline(always)]
fn ethernet<P: Packet>(packet: &mut P, backend: &Backend, kind: u16) -> Option<()> {
    packet.write(0, backend.destination_mac)?;
    packet.write(ETH_SOURCE, backend.source_mac)?;
    packet.write(ETH_TYPE, kind.to_be_bytes())
}

/// Whether an address is an IPv4 one in its mapped form.
#[inline(always)]
fn is_v4(a: &Address) -> bool {
    *a == mapped([a[12], a[13], a[14], a[15]])
}
