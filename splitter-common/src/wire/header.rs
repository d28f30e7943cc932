//! Numbers and offsets of the headers that steering touches.

/// Ethernet: offset of the source MAC.
pub const ETH_SOURCE: usize = 6;
/// Ethernet: offset of the EtherType.
pub const ETH_TYPE: usize = 12;
/// Ethernet: length of the header.
pub const ETH_LEN: usize = 14;
/// Bytes of a VLAN tag.
pub const TAG_LEN: usize = 4;
/// EtherType of a customer VLAN tag (IEEE 802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of a service VLAN tag (IEEE 802.1ad).
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// IPv4: length of the header without options.
pub const IPV4_LEN: usize = 20;
/// IPv4: offset of the time to live; the protocol number follows.
pub const IPV4_TTL: usize = 8;
/// IPv4: offset of the header checksum.
pub const IPV4_CHECKSUM: usize = 10;
/// IPv4: offset of the source address.
pub const IPV4_SOURCE: usize = 12;
/// IPv4: offset of the destination address.
pub const IPV4_DESTINATION: usize = 16;
/// IPv4: "more fragments", in the fourth 16-bit word.
pub const IPV4_MORE: u16 = 0x2000;
/// IPv4: the fragment offset, in the fourth 16-bit word.
pub const IPV4_OFFSET: u16 = 0x1fff;

/// IPv6: length of the header.
pub const IPV6_LEN: usize = 40;
/// IPv6: offset of the hop limit.
pub const IPV6_HOP_LIMIT: usize = 7;
/// IPv6: offset of the source address.
pub const IPV6_SOURCE: usize = 8;
/// IPv6: offset of the destination address.
pub const IPV6_DESTINATION: usize = 24;

/// IPv6 extension header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// IPv6 extension header: routing.
pub const ROUTING: u8 = 43;
/// IPv6 extension header: fragment.
pub const FRAGMENT: u8 = 44;
/// IPv6 extension header: destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// ICMP and ICMPv6: offset of the checksum.
pub const ICMP_CHECKSUM: usize = 2;
/// ICMP and ICMPv6: length of the part before what an error quotes.
pub const ICMP_LEN: usize = 8;

/// TCP and UDP: offset of the source port.
pub const SOURCE_PORT: usize = 0;
/// TCP and UDP: offset of the destination port.
pub const DESTINATION_PORT: usize = 2;
/// TCP: length of the header without options.
pub const TCP_LEN: usize = 20;
/// TCP: offset of the checksum.
pub const TCP_CHECKSUM: usize = 16;
/// UDP: length of the header.
pub const UDP_LEN: usize = 8;
/// UDP: offset of the checksum.
pub const UDP_CHECKSUM: usize = 6;

/// TCP flag.
pub const FIN: u8 = 0x01;
/// TCP flag.
pub const SYN: u8 = 0x02;
/// TCP flag.
pub const RST: u8 = 0x04;
/// TCP flag.
pub const ACK: u8 = 0x10;
