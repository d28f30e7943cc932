//! From bytes to what the later stages need: offsets, addresses, ports, TCP flags.

use super::extensions;
use super::packet::Packet;
use crate::abi::{Address, mapped};
use crate::wire::header::{
    ETH_TYPE, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, ICMP,
    ICMPV6, IPV4_LEN, IPV4_MORE, IPV4_OFFSET, IPV6_DESTINATION, IPV6_LEN, IPV6_SOURCE, TAG_LEN,
    TCP, TCP_LEN, UDP, UDP_LEN,
};

/// The headers of an IP packet, TCP or UDP most of all. The addresses come first, so that they are aligned and move
/// by words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Offset of the IP or ARP header: 14, and 4 more for each VLAN tag.
    pub l3: usize,
    /// Offset of the header after the IP header, its options and its extension headers; of a later fragment: of its
    /// data.
    pub l4: usize,
    /// TCP sequence number; 0 for UDP, and until [`transport`] was called.
    pub sequence: u32,
    /// Identification of the datagram that this is a fragment of; 0 where it is whole.
    pub fragment_id: u32,
    /// Length of the IP packet with its header, as the header says, in bytes.
    pub length: u16,
    /// Source port, host order.
    pub source_port: u16,
    /// Destination port, host order.
    pub destination_port: u16,
    /// Bytes of TCP or UDP payload; 0 until [`transport`] was called.
    pub payload: u16,
    /// Where a later fragment's data stands in its datagram, in units of 8 bytes.
    pub fragment_offset: u16,
    /// 1: IPv6, 0: IPv4.
    pub ipv6: u8,
    /// IP protocol number; of a later IPv6 fragment that of the header that begins the datagram's fragmentable part.
    pub protocol: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// TCP flags (RFC 9293 §3.1: CWR ECE URG ACK PSH RST SYN FIN); 0 for UDP, and until [`transport`] was called.
    pub flags: u8,
    /// [`Headers::WHOLE`], [`Headers::FIRST`] or [`Headers::LATER`].
    pub fragment: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl Headers {
    /// Not a fragment, or one that is the whole datagram (RFC 6946).
    pub const WHOLE: u8 = 0;
    /// The first fragment of several.
    pub const FIRST: u8 = 1;
    /// Another one: it has no transport header.
    pub const LATER: u8 = 2;

    /// Bytes from the transport header, or from a later fragment's data, to the end of the packet.
    #[inline(always)]
    pub fn room(&self) -> usize {
        (self.l3 + usize::from(self.length)).saturating_sub(self.l4)
    }
}

/// What a frame turned out to be. Variants without values: see [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// TCP or UDP, whole or the first fragment; its header may be cut off after the ports: [`transport`] tells.
    Transport,
    /// A later fragment of TCP or UDP; no port is set.
    Fragment,
    /// ARP; of the headers only `l3` is set.
    Arp,
    /// ICMP over IPv4, no fragment; no port is set.
    Icmp,
    /// ICMPv6; no port is set.
    Icmpv6,
    /// IP with something else in it, or IPv6 with an IPv4-mapped address; of the transport header nothing is set.
    Other,
    /// Neither IP nor ARP.
    NotIp,
    /// Cut off or impossible before it says whose it is.
    Malformed,
}

/// Reads a frame as far as the ports: Ethernet, at most two VLAN tags, IP with its options or extension headers.
///
/// Not inlined, and the headers not returned: so they lie in memory, in words. Taken apart into bytes, as LLVM likes
/// to, they fill the 512 bytes of stack that programs in the kernel have.
#[inline(never)]
pub fn parse<P: Packet>(packet: &P, headers: &mut Headers) -> Parsed {
    let parsed = read(packet, headers);
    headers.l3 = packet.forget(headers.l3);
    headers.l4 = packet.forget(headers.l4);
    headers.ipv6 = packet.forget(usize::from(headers.ipv6)) as u8;
    headers.fragment = packet.forget(usize::from(headers.fragment)) as u8;
    headers.protocol = packet.forget(usize::from(headers.protocol)) as u8;
    parsed
}

#[inline(always)]
fn read<P: Packet>(packet: &P, headers: &mut Headers) -> Parsed {
    let mut at = ETH_TYPE;
    let mut found = [0; 2];
    for _ in 0..3 {
        let Some(ethertype) = packet.read::<2>(at) else {
            return Parsed::Malformed;
        };
        found = ethertype;
        // Counted, not branched on: so the verifier goes through what follows once, and not once for each number of
        // tags.
        at += TAG_LEN * is_tag(ethertype);
    }
    headers.l3 = at + 2;
    match u16::from_be_bytes(found) {
        ETHERTYPE_IPV4 => ipv4(packet, headers),
        ETHERTYPE_IPV6 => ipv6(packet, headers),
        ETHERTYPE_ARP => Parsed::Arp,
        _ => Parsed::NotIp,
    }
}

/// 1 for the EtherType of a VLAN tag, else 0; without a branch.
#[inline(always)]
const fn is_tag(ethertype: [u8; 2]) -> usize {
    let value = u16::from_be_bytes(ethertype) as u64;
    let customer = (value ^ ETHERTYPE_VLAN as u64).wrapping_sub(1) >> 63;
    let service = (value ^ ETHERTYPE_QINQ as u64).wrapping_sub(1) >> 63;
    (customer | service) as usize
}

#[inline(always)]
fn ipv4<P: Packet>(packet: &P, headers: &mut Headers) -> Parsed {
    let l3 = headers.l3;
    let Some(ip) = packet.read::<IPV4_LEN>(l3) else {
        return Parsed::Malformed;
    };
    let header = usize::from(ip[0] & 0x0f) * 4;
    let length = u16::from_be_bytes([ip[2], ip[3]]);
    if ip[0] >> 4 != 4
        || header < IPV4_LEN
        || usize::from(length) < header
        || l3 + usize::from(length) > packet.len()
    {
        return Parsed::Malformed;
    }
    headers.l4 = l3 + header;
    headers.protocol = ip[9];
    headers.ttl = ip[8];
    headers.length = length;
    headers.source = mapped([ip[12], ip[13], ip[14], ip[15]]);
    headers.destination = mapped([ip[16], ip[17], ip[18], ip[19]]);
    let fragment = u16::from_be_bytes([ip[6], ip[7]]);
    if fragment & (IPV4_MORE | IPV4_OFFSET) != 0 {
        headers.fragment_id = u32::from(u16::from_be_bytes([ip[4], ip[5]]));
        headers.fragment_offset = fragment & IPV4_OFFSET;
        headers.fragment = Headers::FIRST + u8::from(fragment & IPV4_OFFSET != 0);
    }
    match ip[9] {
        TCP | UDP if headers.fragment == Headers::LATER => Parsed::Fragment,
        TCP | UDP => ports(packet, headers),
        ICMP if headers.fragment == Headers::WHOLE => Parsed::Icmp,
        _ => Parsed::Other,
    }
}

#[inline(always)]
fn ipv6<P: Packet>(packet: &P, headers: &mut Headers) -> Parsed {
    let l3 = headers.l3;
    let (Some(ip), Some(source), Some(destination)) = (
        packet.read::<8>(l3),
        packet.read::<16>(l3 + IPV6_SOURCE),
        packet.read::<16>(l3 + IPV6_DESTINATION),
    ) else {
        return Parsed::Malformed;
    };
    let length = IPV6_LEN + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    if ip[0] >> 4 != 6 || l3 + length > packet.len() || length > usize::from(u16::MAX) {
        return Parsed::Malformed;
    }
    headers.l4 = l3 + IPV6_LEN;
    headers.ipv6 = 1;
    headers.protocol = ip[6];
    headers.ttl = ip[7];
    headers.length = length as u16;
    headers.source = source;
    headers.destination = destination;
    if is_mapped(&headers.source) || is_mapped(&headers.destination) {
        return Parsed::Other;
    }
    if extensions::is_extension(headers.protocol) {
        match extensions::skip(packet, headers) {
            extensions::SKIPPED => {}
            extensions::LATER => return Parsed::Fragment,
            extensions::BROKEN => return Parsed::Malformed,
            _ => return Parsed::Other,
        }
    }
    match headers.protocol {
        TCP | UDP => ports(packet, headers),
        ICMPV6 if headers.fragment == Headers::WHOLE => Parsed::Icmpv6,
        _ => Parsed::Other,
    }
}

/// Whether an IPv6 packet names an IPv4 address. None should on the wire (RFC 4942 §2.2), and in the keys of the tables
/// it would be that IPv4 address: the packet would be taken for another family's.
#[inline(always)]
pub(super) fn is_mapped(a: &Address) -> bool {
    let high = u64::from_be_bytes([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]]);
    let middle = u32::from_be_bytes([a[8], a[9], a[10], a[11]]);
    high == 0 && middle == 0xffff
}

#[inline(always)]
fn ports<P: Packet>(packet: &P, headers: &mut Headers) -> Parsed {
    let inside = headers.l4 + 4 <= headers.l3 + usize::from(headers.length);
    match packet.read::<4>(headers.l4) {
        Some(ports) if inside => {
            headers.source_port = u16::from_be_bytes([ports[0], ports[1]]);
            headers.destination_port = u16::from_be_bytes([ports[2], ports[3]]);
            Parsed::Transport
        }
        _ => Parsed::Malformed,
    }
}

/// Reads the rest of the TCP or UDP header of a packet that is known to be for a service, so that a broken one of
/// somebody else's is never ours to judge. None: cut off or impossible.
#[inline(never)]
pub fn transport<P: Packet>(packet: &P, headers: &mut Headers) -> Option<()> {
    let room = headers.room();
    let header = if headers.protocol == TCP {
        let tcp = packet.read::<TCP_LEN>(headers.l4)?;
        headers.sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        headers.flags = tcp[13];
        let header = usize::from(tcp[12] >> 4) * 4;
        if header < TCP_LEN {
            return None;
        }
        header
    } else {
        let udp = packet.read::<UDP_LEN>(headers.l4)?;
        let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        // The length of a datagram whose other fragments are still to come is more than is here.
        if length < UDP_LEN || (length > room && headers.fragment == Headers::WHOLE) {
            return None;
        }
        UDP_LEN
    };
    if header > room {
        return None;
    }
    headers.payload = (room - header) as u16;
    Some(())
}
