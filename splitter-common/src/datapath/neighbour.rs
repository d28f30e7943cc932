//! ARP (RFC 826) and neighbour discovery (RFC 4861) for a VIP with `announce = "arp"`.
//!
//! Both answers are written over the question, as XDP cannot allocate: the ARP messages have one length, and a
//! solicitation is answered only where it has the very length of its advertisement, one link-layer option included
//! (which is what hosts send, RFC 4861 §4.3 asks for the option in every multicast solicitation). What is not
//! answered here is left to the stack.

use super::outcome::Outcome;
use super::packet::Packet;
use super::tables::Tables;
use crate::abi::{Address, Counter, Vip, mapped};
use crate::wire::checksum::{finish, sum};
use crate::wire::header::ICMPV6;

/// Hardware type Ethernet, protocol type IPv4, lengths 6 and 4, operation 1: what an ARP request for IPv4 begins with.
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// Operation "reply", at offset 6 of the ARP message.
const ARP_REPLY: [u8; 2] = [0, 2];

/// Bytes of a solicitation or advertisement with one Ethernet option.
const MESSAGE: usize = 32;
/// Router no, solicited yes, override yes (RFC 4861 §4.4).
const SOLICITED_OVERRIDE: u8 = 0x60;

/// Turns an ARP request for an announced VIP into its answer; `l3` is the offset of the ARP header. False: not ours.
///
/// An announcement (sender and target are the same, RFC 5227 §3) asks nothing, so it is left alone: another edge host
/// that takes the VIP over says so in this way.
///
/// A number is returned, not an outcome: of a function that answers through memory the verifier sees what is left in
/// its return register, and refuses a pointer there.
#[inline(never)]
pub fn answer_arp<P: Packet, T: Tables>(packet: &mut P, tables: &T, l3: usize) -> bool {
    arp(packet, tables, l3).is_some()
}

#[inline(always)]
fn arp<P: Packet, T: Tables>(packet: &mut P, tables: &T, l3: usize) -> Option<()> {
    if packet.read::<8>(l3)? != ARP_REQUEST {
        return None;
    }
    let asker_mac = packet.read::<6>(l3 + 8)?;
    let asker = packet.read::<4>(l3 + 14)?;
    let vip = packet.read::<4>(l3 + 24)?;
    if asker == vip || is_group(asker_mac) || !announced(tables, &mapped(vip)) {
        return None;
    }
    let own = own_mac(packet, tables)?;
    packet.write(0, asker_mac)?;
    packet.write(6, own)?;
    packet.write(l3 + 6, ARP_REPLY)?;
    packet.write(l3 + 8, own)?;
    packet.write(l3 + 14, vip)?;
    packet.write(l3 + 18, asker_mac)?;
    packet.write(l3 + 24, asker)
}

/// Turns a neighbour solicitation for an announced VIP into its advertisement; `l3` is the offset of the IPv6
/// header and `l4` that of the ICMPv6 header. False: not ours.
///
/// The solicitation is validated as RFC 4861 §7.1.1 asks (hop limit, code, lengths, checksum). One from the unspecified
/// address is duplicate address detection, whose answer goes to all nodes: left to the stack.
#[inline(never)]
pub fn answer_solicitation<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    l3: usize,
    l4: usize,
) -> bool {
    solicitation(packet, tables, l3, l4).is_some()
}

#[inline(always)]
fn solicitation<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    l3: usize,
    l4: usize,
) -> Option<()> {
    if l4 != l3 + 40 {
        return None;
    }
    let [length_high, length_low, next, hop_limit] = packet.read::<4>(l3 + 4)?;
    if [length_high, length_low] != [0, MESSAGE as u8] || next != ICMPV6 || hop_limit != 255 {
        return None;
    }
    // In pieces that fit registers: the stack of a BPF program has 512 bytes.
    let asker = [packet.read::<8>(l3 + 8)?, packet.read::<8>(l3 + 16)?];
    let pseudo = sum(asker[0])
        + sum(asker[1])
        + sum(packet.read::<8>(l3 + 24)?)
        + sum(packet.read::<8>(l3 + 32)?)
        + MESSAGE as u32
        + u32::from(ICMPV6);
    let head = packet.read::<8>(l4)?;
    let vip = [packet.read::<8>(l4 + 8)?, packet.read::<8>(l4 + 16)?];
    let option = packet.read::<8>(l4 + 24)?;
    // Type 135, code 0; and the option: type 1 (source link-layer address), length 1 (of 8 bytes).
    if head[0] != 135 || head[1] != 0 || option[0] != 1 || option[1] != 1 {
        return None;
    }
    let [_, _, a, b, c, d, e, f] = option;
    let asker_mac = [a, b, c, d, e, f];
    if asker == [[0; 8]; 2]
        || asker[0][0] == 0xff
        || is_group(asker_mac)
        || finish(pseudo + sum(head) + sum(vip[0]) + sum(vip[1]) + sum(option)) != 0
        || !announced(tables, &packet.read::<16>(l4 + 8)?)
    {
        return None;
    }
    let own = own_mac(packet, tables)?;
    let [a, b, c, d, e, f] = own;
    let option = [2, 1, a, b, c, d, e, f];
    let head = [136, 0, 0, 0, SOLICITED_OVERRIDE, 0, 0, 0];
    // From the VIP to the asker: the VIP stands in the message and in the pseudo-header.
    let body = sum(head) + 2 * (sum(vip[0]) + sum(vip[1])) + sum(option);
    let addresses = sum(asker[0]) + sum(asker[1]);
    let [high, low] = finish(body + addresses + MESSAGE as u32 + u32::from(ICMPV6)).to_be_bytes();
    packet.write(0, asker_mac)?;
    packet.write(6, own)?;
    packet.write(l3 + 8, vip[0])?;
    packet.write(l3 + 16, vip[1])?;
    packet.write(l3 + 24, asker[0])?;
    packet.write(l3 + 32, asker[1])?;
    packet.write(l4, [136, 0, high, low, SOLICITED_OVERRIDE, 0, 0, 0])?;
    packet.write(l4 + 24, option)
}

/// Back to where the question came from.
#[inline(always)]
pub fn answered<P: Packet>(packet: &P) -> Outcome {
    Outcome::forward(Counter::AnswerNeighbour, packet.interface())
}

/// Whether this host answers for an address.
#[inline(always)]
fn announced<T: Tables>(tables: &T, address: &Address) -> bool {
    tables
        .vip(address)
        .is_some_and(|vip| vip.is(Vip::ANNOUNCED))
}

/// The MAC of the interface the packet came in on, where the packet is for it: on a promiscuous interface questions to
/// other hosts pass by.
#[inline(always)]
fn own_mac<P: Packet, T: Tables>(packet: &P, tables: &T) -> Option<[u8; 6]> {
    let own = tables.interface(packet.interface())?.mac;
    let destination = packet.read::<6>(0)?;
    (is_group(destination) || destination == own).then_some(own)
}

/// Whether a MAC is a multicast or broadcast address.
#[inline(always)]
pub(super) fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}
