//! From bytes to what the later stages need: offsets, addresses, ports, TCP flags.

use crate::abi::Address;

/// The headers of an IPv4 or IPv6 packet that carries TCP or UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of the TCP or UDP header.
    pub l4: usize,
    /// 1: IPv6, 0: IPv4.
    pub ipv6: u8,
    /// IP protocol number: 6 or 17.
    pub protocol: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// TCP flags (RFC 9293 §3.1: CWR ECE URG ACK PSH RST SYN FIN); 0 for UDP.
    pub flags: u8,
    /// Length of the IP packet with its header, as the header says, in bytes.
    pub length: u16,
    /// Source port, host order.
    pub source_port: u16,
    /// Destination port, host order.
    pub destination_port: u16,
    /// Bytes of TCP or UDP payload.
    pub payload: u16,
    /// TCP sequence number; 0 for UDP.
    pub sequence: u32,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
}
