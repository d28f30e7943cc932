//! Frames that the packet path makes: a packet in another one, and the answer to one that is too long. Lengths and
//! checksums are `etherparse`'s, so that what the packet path computed is held against an implementation that is not
//! ours.

use super::cast::{Family, mac};
use anyhow::{Context, Result};
use etherparse::{
    EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber,
    Ipv4Header, Ipv6FlowLabel, Ipv6Header, icmpv4::DestUnreachableHeader,
};
use serde::Deserialize;
use splitter_common::abi::Address;

/// Bytes of the packet that an answer quotes.
const QUOTED: usize = 128;

/// The answer to a packet that is too long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What would have fitted.
    pub mtu: u16,
    /// Who says so; absent: the VIP.
    pub from: Option<String>,
}

/// The outer addresses of a packet in a packet.
pub struct Outer {
    /// Family of the backend.
    pub family: Family,
    /// The backend's name.
    pub backend: String,
    /// Names of the MAC addresses: destination, source.
    pub macs: [String; 2],
}

fn v4(address: &Address) -> [u8; 4] {
    [address[12], address[13], address[14], address[15]]
}

fn ethernet(destination: [u8; 6], source: [u8; 6], family: Family) -> Vec<u8> {
    let header = Ethernet2Header {
        destination,
        source,
        ether_type: match family {
            Family::V4 => EtherType::IPV4,
            Family::V6 => EtherType::IPV6,
        },
    };
    header.to_bytes().to_vec()
}

/// The frame `inner`, whose IP header is at `l3`, in a packet to a backend.
pub fn wrapped(inner: &[u8], l3: usize, outer: &Outer, flow_hash: u64) -> Result<Vec<u8>> {
    let ip = inner.get(l3..).context("an IP packet")?;
    let (class, length, protocol, id, dont_fragment) = if ip[0] >> 4 == 4 {
        let (header, _) = Ipv4Header::from_slice(ip)?;
        let class = header.dscp.value() << 2 | header.ecn.value();
        let id = header.identification.wrapping_add((flow_hash >> 32) as u16);
        (class, header.total_len, 4, id, header.dont_fragment)
    } else {
        let (header, _) = Ipv6Header::from_slice(ip)?;
        let length = header.payload_length + 40;
        (header.traffic_class, length, 41, 0, true)
    };
    let source = outer.family.address("tunnel")?;
    let destination = outer.family.address(&outer.backend)?;
    let [to, from] = &outer.macs;
    let mut bytes = ethernet(mac(to)?, mac(from)?, outer.family);
    match outer.family {
        Family::V4 => {
            let mut header = Ipv4Header::new(
                length,
                64,
                IpNumber(protocol),
                v4(&source),
                v4(&destination),
            )?;
            (header.dscp, header.ecn) = ((class >> 2).try_into()?, (class & 3).try_into()?);
            header.dont_fragment = dont_fragment;
            header.identification = if dont_fragment { 0 } else { id };
            header.header_checksum = header.calc_header_checksum();
            bytes.extend(header.to_bytes());
        }
        Family::V6 => {
            let label = ((flow_hash >> 20) as u32 & 0xf_ffff).max(1);
            let header = Ipv6Header {
                traffic_class: class,
                flow_label: Ipv6FlowLabel::try_new(label)?,
                payload_length: length,
                next_header: IpNumber(protocol),
                hop_limit: 64,
                source,
                destination,
            };
            bytes.extend(header.to_bytes());
        }
    }
    bytes.extend(ip);
    Ok(bytes)
}

/// The answer to `frame`, whose IP header is at `l3`.
pub fn answer(frame: &[u8], l3: usize, family: Family, answer: &Answer) -> Result<Vec<u8>> {
    let quoted = frame.get(l3..l3 + QUOTED).context("too short to quote")?;
    let from = family.address(answer.from.as_deref().unwrap_or("vip"))?;
    let mut bytes = frame[..l3].to_vec();
    bytes[..6].copy_from_slice(&frame[6..12]);
    bytes[6..12].copy_from_slice(&frame[..6]);
    match family {
        Family::V4 => {
            let asker: [u8; 4] = quoted[12..16].try_into()?;
            let header = DestUnreachableHeader::FragmentationNeeded {
                next_hop_mtu: answer.mtu,
            };
            let icmp =
                Icmpv4Header::with_checksum(Icmpv4Type::DestinationUnreachable(header), quoted);
            let length = u16::try_from(8 + QUOTED)?;
            let mut ip = Ipv4Header::new(length, 64, IpNumber::ICMP, v4(&from), asker)?;
            // "Internetwork control", RFC 1812 section 4.3.2.5.
            ip.dscp = 0x30.try_into()?;
            ip.dont_fragment = true;
            ip.header_checksum = ip.calc_header_checksum();
            bytes.extend(ip.to_bytes());
            bytes.extend(icmp.to_bytes());
        }
        Family::V6 => {
            let asker: Address = quoted[8..24].try_into()?;
            let kind = Icmpv6Type::PacketTooBig {
                mtu: answer.mtu.into(),
            };
            let icmp = Icmpv6Header::with_checksum(kind, from, asker, quoted)?;
            let ip = Ipv6Header {
                payload_length: u16::try_from(8 + QUOTED)?,
                next_header: IpNumber::IPV6_ICMP,
                hop_limit: 64,
                source: from,
                destination: asker,
                ..Default::default()
            };
            bytes.extend(ip.to_bytes());
            bytes.extend(icmp.to_bytes());
        }
    }
    bytes.extend(quoted);
    Ok(bytes)
}
