//! Packets that this host sends of its own accord, made of the one that made it necessary: XDP cannot allocate, so the
//! frame is cut to what is quoted, grown at its front, and sent back where it came from.
//!
//! [`too_long`] is ICMP "fragmentation needed" (RFC 792, RFC 1191) and ICMPv6 "packet too big" (RFC 4443 §3.2). The other
//! functions are the tools that any such packet is made with.

use super::packet::Packet;
use super::parse::Headers;
use super::tables::Tables;
use crate::abi::{Address, Counter};
use crate::wire::checksum::{finish, sum};
use crate::wire::header::{
    ETH_TYPE, ICMP, ICMP_LEN, ICMPV6, IPV4_DONT_FRAGMENT, IPV4_LEN, IPV6_LEN, TCP, UDP,
};

/// Bytes of the packet that an answer quotes. Whole headers of every packet that is steered fit, options and all, and more
/// than the 64 bits behind them that RFC 792 asks for. The length is constant, so that the checksum's loop is.
const QUOTED: usize = 128;
/// The least MTU of an IPv6 link (RFC 8200 §5): a sender need not go below it, and none is told to.
const IPV6_LEAST_MTU: u16 = 1280;
/// The least MTU of an IPv4 link (RFC 791 §3.2).
const IPV4_LEAST_MTU: u16 = 68;
/// Time to live of what is sent from here.
pub const TTL: u8 = 64;
/// "Internetwork control", the precedence of ICMP errors (RFC 1812 §4.3.2.5).
const CONTROL: u8 = 0xc0;

/// Time that one answer costs of a CPU's budget, nanoseconds: 1,000 answers a second on each CPU.
const INTERVAL_NS: u64 = 1_000_000;
/// Answers that a CPU may send at once after a pause.
const BURST: u64 = 100;

/// Makes of a packet that is longer than [`Headers::limit`] the answer that says so, to its sender. What it returns is
/// [`Counter::AnswerTooLong`], or why there is none; then nothing was written, unless it is [`Counter::DropInternal`].
///
/// Not answered are, as RFC 1122 §3.2.2 and RFC 4443 §2.4 want it: ICMP, fragments but the first, and whatever does not
/// come from one host. IPv4 without "don't fragment" asks the router to cut it, which XDP cannot: dropped. So is an IPv6
/// packet of no more than 1280 bytes, whose sender could do nothing about it (RFC 2473 §7.1 would have it fragmented).
#[inline(never)]
pub fn too_long<P: Packet, T: Tables>(packet: &mut P, tables: &T, headers: &Headers) -> Counter {
    let limit = headers.limit;
    let transport = headers.protocol == TCP || headers.protocol == UDP;
    if limit == 0
        || !transport
        || headers.fragment == Headers::LATER
        || usize::from(headers.length) < QUOTED
        || !may_be_answered(packet, headers)
        || !is_one_host(headers)
    {
        return Counter::DropTooLong;
    }
    if !within_budget(tables) {
        return Counter::DropRateLimited;
    }
    let written = if headers.ipv6 == 0 {
        needs_fragmentation(packet, tables, headers, limit.max(IPV4_LEAST_MTU))
    } else {
        too_big(packet, tables, headers, limit.max(IPV6_LEAST_MTU))
    };
    match written {
        Some(()) => Counter::AnswerTooLong,
        None => Counter::DropInternal,
    }
}

/// Whether the sender asked to be told, and can send less.
#[inline(always)]
fn may_be_answered<P: Packet>(packet: &P, headers: &Headers) -> bool {
    if headers.ipv6 != 0 {
        return headers.length > IPV6_LEAST_MTU;
    }
    packet
        .read::<2>(headers.l3 + 6)
        .is_some_and(|flags| u16::from_be_bytes(flags) & IPV4_DONT_FRAGMENT != 0)
}

/// Whether the source names one host: neither a group, nor everybody, nor nobody.
#[inline(always)]
pub fn is_one_host(headers: &Headers) -> bool {
    let source = &headers.source;
    if headers.ipv6 == 0 {
        return !matches!(source[12], 0 | 127 | 224..=255);
    }
    let word = |at: usize| {
        u32::from_be_bytes([source[at], source[at + 1], source[at + 2], source[at + 3]])
    };
    // The unspecified address and loopback differ in the last bit alone.
    source[0] != 0xff && (word(0) | word(4) | word(8) | word(12) >> 1) != 0
}

/// A bucket of tokens that is one number: the time at which all answers so far are paid for.
#[inline(always)]
fn within_budget<T: Tables>(tables: &T) -> bool {
    let now = tables.now();
    let paid = tables.icmp_budget().max(now);
    if paid - now > (BURST - 1) * INTERVAL_NS {
        return false;
    }
    tables.set_icmp_budget(paid + INTERVAL_NS);
    true
}

#[inline(always)]
fn needs_fragmentation<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    mtu: u16,
) -> Option<()> {
    let l3 = headers.l3;
    let icmp = l3 + IPV4_LEN;
    let source = source(&tables.settings()?.icmp_v4, headers);
    let grown = IPV4_LEN + ICMP_LEN;
    turn_back(packet, l3, grown as i32, l3 + grown + QUOTED)?;
    let head = Ipv4 {
        class: CONTROL,
        length: (grown + QUOTED) as u16,
        id: 0,
        flags: IPV4_DONT_FRAGMENT,
        protocol: ICMP,
        source: v4(&source),
        destination: v4(&headers.source),
    };
    head.write(packet, l3)?;
    let first = 0x0304_0000_0000_0000 | u64::from(mtu);
    let checksum = finish(sum(first.to_be_bytes()) + quoted(packet, icmp + ICMP_LEN)?);
    packet.write(icmp, (first | u64::from(checksum) << 32).to_be_bytes())
}

#[inline(always)]
fn too_big<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    mtu: u16,
) -> Option<()> {
    let l3 = headers.l3;
    let icmp = l3 + IPV6_LEN;
    let source = source(&tables.settings()?.icmp_v6, headers);
    let grown = IPV6_LEN + ICMP_LEN;
    turn_back(packet, l3, grown as i32, l3 + grown + QUOTED)?;
    let length = (ICMP_LEN + QUOTED) as u16;
    let head = Ipv6 {
        class: 0,
        label: 0,
        length,
        next: ICMPV6,
    };
    head.write(packet, l3, &source, &headers.source)?;
    let first = 0x0200_0000_0000_0000 | u64::from(mtu);
    let pseudo = sum_address(packet, l3 + 8)? + u32::from(length) + u32::from(ICMPV6);
    let checksum = finish(sum(first.to_be_bytes()) + pseudo + quoted(packet, icmp + ICMP_LEN)?);
    packet.write(icmp, (first | u64::from(checksum) << 32).to_be_bytes())
}

/// Who speaks: the configured address, else the VIP.
#[inline(always)]
fn source(configured: &Address, headers: &Headers) -> Address {
    if *configured == [0; 16] {
        headers.destination
    } else {
        *configured
    }
}

/// Sum of what is quoted, at `at`.
#[inline(always)]
fn quoted<P: Packet>(packet: &P, at: usize) -> Option<u32> {
    let mut total = 0;
    let mut offset = 0;
    while offset < QUOTED {
        total += sum(packet.read::<8>(at + offset)?);
        offset += 8;
    }
    Some(total)
}

/// Sum of two addresses of 16 bytes, the first one at `at`.
#[inline(always)]
pub fn sum_address<P: Packet>(packet: &P, at: usize) -> Option<u32> {
    Some(
        sum(packet.read::<8>(at)?)
            + sum(packet.read::<8>(at + 8)?)
            + sum(packet.read::<8>(at + 16)?)
            + sum(packet.read::<8>(at + 24)?),
    )
}

/// Turns a frame back to its sender: both MAC addresses swapped, VLAN tags as they were, `grow` bytes more between them
/// and the IP header at `l3` (fewer where negative), and `len` bytes in all. The IP header begins at `l3` again. None where
/// there is no room; the frame may be cut then, and must not be sent.
#[inline(always)]
pub fn turn_back<P: Packet>(packet: &mut P, l3: usize, grow: i32, len: usize) -> Option<()> {
    let to = packet.read::<6>(0)?;
    let from = packet.read::<6>(6)?;
    let kind = packet.read::<2>(l3.wrapping_sub(2))?;
    let outer_tag = packet.read::<4>(ETH_TYPE)?;
    let inner_tag = packet.read::<4>(ETH_TYPE + 4)?;
    if grow != 0 {
        packet.grow_front(grow)?;
    }
    packet.set_len(len)?;
    packet.write(0, from)?;
    packet.write(6, to)?;
    if l3 >= ETH_TYPE + 6 {
        packet.write(ETH_TYPE, outer_tag)?;
    }
    if l3 >= ETH_TYPE + 10 {
        packet.write(ETH_TYPE + 4, inner_tag)?;
    }
    packet.write(l3.wrapping_sub(2), kind)
}

/// An IPv4 header without options, but for its time to live, which is [`TTL`].
pub struct Ipv4 {
    /// Type of service: DSCP and ECN.
    pub class: u8,
    /// Length of the packet with this header.
    pub length: u16,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset.
    pub flags: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Source, host order.
    pub source: u32,
    /// Destination, host order.
    pub destination: u32,
}

impl Ipv4 {
    /// Writes it at `at`, with its checksum.
    #[inline(always)]
    pub fn write<P: Packet>(&self, packet: &mut P, at: usize) -> Option<()> {
        let first = 0x4500_u64 << 48
            | u64::from(self.class) << 48
            | u64::from(self.length) << 32
            | u64::from(self.id) << 16
            | u64::from(self.flags);
        let second = u64::from(TTL) << 56 | u64::from(self.protocol) << 48 | u64::from(self.source);
        let third = u64::from(self.destination);
        let checksum =
            finish(sum(first.to_be_bytes()) + sum(second.to_be_bytes()) + sum(third.to_be_bytes()));
        packet.write(at, first.to_be_bytes())?;
        packet.write(at + 8, (second | u64::from(checksum) << 32).to_be_bytes())?;
        packet.write(at + 16, self.destination.to_be_bytes())
    }
}

/// An IPv6 header but for its addresses and its hop limit, which is [`TTL`].
pub struct Ipv6 {
    /// Traffic class: DSCP and ECN.
    pub class: u8,
    /// Flow label, 20 bits.
    pub label: u32,
    /// Length of what follows the header.
    pub length: u16,
    /// Number of the header that follows.
    pub next: u8,
}

impl Ipv6 {
    /// Writes it at `at`.
    #[inline(always)]
    pub fn write<P: Packet>(
        &self,
        packet: &mut P,
        at: usize,
        source: &Address,
        destination: &Address,
    ) -> Option<()> {
        let first = 6_u64 << 60
            | u64::from(self.class) << 52
            | u64::from(self.label & 0xf_ffff) << 32
            | u64::from(self.length) << 16
            | u64::from(self.next) << 8
            | u64::from(TTL);
        packet.write(at, first.to_be_bytes())?;
        packet.write(at + 8, *source)?;
        packet.write(at + 24, *destination)
    }
}

/// The IPv4 address in an IPv4-mapped one, host order.
#[inline(always)]
pub const fn v4(a: &Address) -> u32 {
    u32::from_be_bytes([a[12], a[13], a[14], a[15]])
}
