//! Bytes of a frame from its fields. Lengths and checksums are computed by `etherparse`, so that a rewritten frame,
//! compared with one crafted anew, is held against an implementation that is not ours.

use super::cast::{Family, hex, mac};
use super::icmp;
use super::spec::Protocol;
use anyhow::{Context, Result, bail};
use etherparse::{Icmpv6Type, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader, UdpHeader};
use serde::Deserialize;
use splitter_common::abi::Address;
use toml::Table;

/// Fields of a frame; what is not given is as in an ordinary packet from `client` to the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// Family of the frame; absent: the service's.
    pub family: Option<Family>,
    /// `tcp`, `udp`, `icmp`, `arp` or `solicitation`, their answers `arp_reply` and `advertisement`, or the number of
    /// another protocol; absent: the service's protocol.
    pub kind: Option<String>,
    /// Ethernet source.
    pub source_mac: String,
    /// Ethernet destination.
    pub destination_mac: String,
    /// VLAN identifiers, the outer one first.
    pub vlan: Vec<u16>,
    /// Source, `name:port`.
    pub from: String,
    /// Destination, `name:port`.
    pub to: String,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// IPv4 options, hexadecimal.
    pub ip_options: String,
    /// IPv6 extension headers: `hop_by_hop`, `destination`, `routing`, each 8 bytes.
    pub extensions: Vec<String>,
    /// Fragment offset in units of 8 bytes.
    pub fragment_offset: u16,
    /// More fragments follow.
    pub more_fragments: bool,
    /// An IPv6 fragment header, also where offset and flag are zero (an atomic fragment).
    pub fragment_header: bool,
    /// TCP flags, letters of `FSRPAUEC`.
    pub flags: String,
    /// TCP sequence number.
    pub sequence: u32,
    /// TCP options, hexadecimal.
    pub tcp_options: String,
    /// Bytes of payload.
    pub payload: usize,
    /// UDP without a checksum.
    pub no_checksum: bool,
    /// The payload's first two bytes.
    pub word: Option<u16>,
    /// Type and code of an ICMP message; absent: an echo request.
    pub icmp: Option<[u8; 2]>,
    /// The last four bytes of the ICMP header, hexadecimal.
    pub rest: String,
    /// The packet that an ICMP error quotes: fields of a frame, see [`super::icmp::quoted`].
    pub quote: Option<Table>,
    /// Who is asked for (ARP, neighbour discovery).
    pub asked: String,
    /// MAC in the ARP message or in the link-layer option; absent: the Ethernet source.
    pub link: Option<String>,
    /// An ARP or neighbour discovery message without its last bytes.
    pub shorter: usize,
    /// Overwritten bytes: place (`l3+8`) and hexadecimal digits, before the cut.
    pub patch: Vec<(String, String)>,
    /// Where the frame ends: a place like `l4+3`.
    pub cut: Option<String>,
    /// Zero bytes after its end.
    pub pad: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            family: None,
            kind: None,
            source_mac: "gateway".into(),
            destination_mac: "own".into(),
            vlan: Vec::new(),
            from: "client:40000".into(),
            to: "vip:80".into(),
            ttl: 64,
            tos: 0,
            ip_options: String::new(),
            extensions: Vec::new(),
            fragment_offset: 0,
            more_fragments: false,
            fragment_header: false,
            flags: "S".into(),
            sequence: 1000,
            tcp_options: String::new(),
            payload: 0,
            no_checksum: false,
            word: None,
            icmp: None,
            rest: String::new(),
            quote: None,
            asked: "vip".into(),
            link: None,
            shorter: 0,
            patch: Vec::new(),
            cut: None,
            pad: 0,
        }
    }
}

/// Offsets of the headers in a crafted frame.
struct Places {
    l3: usize,
    l4: usize,
    payload: usize,
    end: usize,
}

impl Places {
    fn find(&self, text: &str) -> Result<usize> {
        let (name, plus) = text.split_once('+').unwrap_or((text, "0"));
        let start = match name {
            "l2" => 0,
            "l3" => self.l3,
            "l4" => self.l4,
            "payload" => self.payload,
            "end" => self.end,
            _ => bail!("no place is called {text:?}"),
        };
        Ok(start + plus.parse::<usize>()?)
    }
}

/// The bytes of a frame.
pub fn craft(frame: &Frame, family: Family, protocol: Protocol) -> Result<Vec<u8>> {
    let family = frame.family.unwrap_or(family);
    let kind = match (&frame.kind, protocol) {
        (Some(kind), _) => kind.as_str(),
        (None, Protocol::Tcp) => "tcp",
        (None, Protocol::Udp) => "udp",
    };
    let mut bytes = Vec::new();
    bytes.extend(mac(&frame.destination_mac)?);
    bytes.extend(mac(&frame.source_mac)?);
    for (index, vlan) in frame.vlan.iter().enumerate() {
        let outer = index + 1 < frame.vlan.len();
        bytes.extend(if outer { [0x88, 0xa8] } else { [0x81, 0x00] });
        bytes.extend(vlan.to_be_bytes());
    }
    let arp = kind.starts_with("arp");
    bytes.extend(match (arp, family) {
        (true, _) => [0x08, 0x06],
        (false, Family::V4) => [0x08, 0x00],
        (false, Family::V6) => [0x86, 0xdd],
    });
    let l3 = bytes.len();
    let mut l4 = l3;
    let mut payload = l3;
    if arp {
        let mut message = arp_message(frame, kind)?;
        message.truncate(message.len() - frame.shorter);
        bytes.extend(message);
    } else {
        let (source, source_port) = family.socket(&frame.from)?;
        let (destination, destination_port) = family.socket(&frame.to)?;
        let ports = (source_port, destination_port);
        let (number, segment, header) = transport(
            frame,
            kind,
            (family, protocol),
            (&source, &destination),
            ports,
        )?;
        bytes.extend(ip(
            frame,
            family,
            (&source, &destination),
            number,
            segment.len(),
        )?);
        l4 = bytes.len();
        payload = l4 + header;
        bytes.extend(segment);
    }
    let places = Places {
        l3,
        l4,
        payload,
        end: bytes.len(),
    };
    for (place, digits) in &frame.patch {
        let at = places.find(place)?;
        let new = hex(digits)?;
        bytes
            .get_mut(at..at + new.len())
            .with_context(|| format!("patch {place} is behind the end"))?
            .copy_from_slice(&new);
    }
    if let Some(cut) = &frame.cut {
        bytes.truncate(places.find(cut)?);
    }
    bytes.resize(bytes.len() + frame.pad, 0);
    Ok(bytes)
}

fn v4(address: &Address) -> [u8; 4] {
    [address[12], address[13], address[14], address[15]]
}

fn arp_message(frame: &Frame, kind: &str) -> Result<Vec<u8>> {
    let link = mac(frame.link.as_deref().unwrap_or(&frame.source_mac))?;
    let (sender, _) = Family::V4.socket(&frame.from)?;
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
    if kind == "arp_reply" {
        message[7] = 2;
        message.extend(link);
        message.extend(v4(&sender));
        message.extend(mac(&frame.destination_mac)?);
        message.extend(v4(&Family::V4.socket(&frame.to)?.0));
    } else {
        message.extend(link);
        message.extend(v4(&sender));
        message.extend([0; 6]);
        message.extend(v4(&Family::V4.address(&frame.asked)?));
    }
    Ok(message)
}

/// IP header with its options or extension headers, before a segment of `length` bytes.
fn ip(
    frame: &Frame,
    family: Family,
    (source, destination): (&Address, &Address),
    number: u8,
    length: usize,
) -> Result<Vec<u8>> {
    if family == Family::V4 {
        let options = hex(&frame.ip_options)?;
        let mut header = Ipv4Header::new(
            u16::try_from(length)?,
            frame.ttl,
            IpNumber(number),
            v4(source),
            v4(destination),
        )?;
        header.options = Ipv4Options::try_from(options.as_slice())?;
        header.set_payload_len(length)?;
        (header.dscp, header.ecn) = ((frame.tos >> 2).try_into()?, (frame.tos & 3).try_into()?);
        header.fragment_offset = frame.fragment_offset.try_into()?;
        header.more_fragments = frame.more_fragments;
        header.dont_fragment = false;
        header.header_checksum = header.calc_header_checksum();
        return Ok(header.to_bytes().to_vec());
    }
    let mut chain: Vec<(u8, [u8; 8])> = Vec::new();
    for extension in &frame.extensions {
        // A PadN option of six bytes; a routing header of an unused type with no segments left.
        chain.push(match extension.as_str() {
            "hop_by_hop" => (0, [0, 0, 1, 4, 0, 0, 0, 0]),
            "destination" => (60, [0, 0, 1, 4, 0, 0, 0, 0]),
            "routing" => (43, [0, 0, 253, 0, 0, 0, 0, 0]),
            other => bail!("no extension header is called {other:?}"),
        });
    }
    if frame.fragment_header || frame.fragment_offset != 0 || frame.more_fragments {
        let field = frame.fragment_offset << 3 | u16::from(frame.more_fragments);
        let [high, low] = field.to_be_bytes();
        chain.push((44, [0, 0, high, low, 0, 0, 0, 42]));
    }
    let mut header = Ipv6Header {
        traffic_class: frame.tos,
        hop_limit: frame.ttl,
        source: *source,
        destination: *destination,
        ..Default::default()
    };
    header.next_header = IpNumber(chain.first().map_or(number, |(first, _)| *first));
    header.set_payload_length(length + 8 * chain.len())?;
    let mut bytes = header.to_bytes().to_vec();
    for index in 0..chain.len() {
        let mut extension = chain[index].1;
        extension[0] = chain.get(index + 1).map_or(number, |(next, _)| *next);
        bytes.extend(extension);
    }
    Ok(bytes)
}

/// Protocol number, header and payload, and length of the header.
fn transport(
    frame: &Frame,
    kind: &str,
    (family, protocol): (Family, Protocol),
    (source, destination): (&Address, &Address),
    (source_port, destination_port): (u16, u16),
) -> Result<(u8, Vec<u8>, usize)> {
    let mut payload: Vec<u8> = (0..frame.payload).map(|at| at as u8 ^ 0x5a).collect();
    if let Some(word) = frame.word {
        payload
            .get_mut(..2)
            .context("a first word needs two bytes of payload")?
            .copy_from_slice(&word.to_be_bytes());
    }
    let addresses = (source, destination);
    match kind {
        "tcp" => {
            let mut header = TcpHeader::new(source_port, destination_port, frame.sequence, 512);
            for flag in frame.flags.chars() {
                match flag {
                    'F' => header.fin = true,
                    'S' => header.syn = true,
                    'R' => header.rst = true,
                    'P' => header.psh = true,
                    'A' => (header.ack, header.acknowledgment_number) = (true, 77),
                    'U' => header.urg = true,
                    'E' => header.ece = true,
                    'C' => header.cwr = true,
                    _ => bail!("no TCP flag is called {flag:?}"),
                }
            }
            header.set_options_raw(&hex(&frame.tcp_options)?)?;
            let checksum = match family {
                Family::V4 => {
                    header.calc_checksum_ipv4_raw(v4(source), v4(destination), &payload)?
                }
                Family::V6 => header.calc_checksum_ipv6_raw(*source, *destination, &payload)?,
            };
            header.checksum = checksum;
            let mut bytes = header.to_bytes().to_vec();
            let length = bytes.len();
            bytes.extend(payload);
            Ok((6, bytes, length))
        }
        "udp" => {
            let mut header = UdpHeader {
                source_port,
                destination_port,
                length: u16::try_from(8 + payload.len())?,
                checksum: 0,
            };
            let checksum = match family {
                Family::V4 => {
                    header.calc_checksum_ipv4_raw(v4(source), v4(destination), &payload)?
                }
                Family::V6 => header.calc_checksum_ipv6_raw(*source, *destination, &payload)?,
            };
            header.checksum = if frame.no_checksum { 0 } else { checksum };
            let mut bytes = header.to_bytes().to_vec();
            bytes.extend(payload);
            Ok((17, bytes, 8))
        }
        "icmp" => icmp::message(frame, family, protocol, addresses, &payload),
        "solicitation" | "advertisement" => {
            let asked = family.address(&frame.asked)?;
            let link = mac(frame.link.as_deref().unwrap_or(&frame.source_mac))?;
            let answer = kind == "advertisement";
            let mut body = vec![if answer { 0x60 } else { 0 }, 0, 0, 0];
            body.extend(asked);
            body.extend([if answer { 2 } else { 1 }, 1]);
            body.extend(link);
            body.truncate(body.len() - frame.shorter);
            icmpv6(addresses, [if answer { 136 } else { 135 }, 0], &body)
        }
        number => Ok((
            number
                .parse()
                .with_context(|| format!("no protocol is called {number:?}"))?,
            payload,
            0,
        )),
    }
}

/// An ICMPv6 message: type and code, then `body` behind the checksum.
fn icmpv6(
    (source, destination): (&Address, &Address),
    [kind, code]: [u8; 2],
    body: &[u8],
) -> Result<(u8, Vec<u8>, usize)> {
    let mut first = [0; 4];
    first.copy_from_slice(&body[..4]);
    let checksum = Icmpv6Type::Unknown {
        type_u8: kind,
        code_u8: code,
        bytes5to8: first,
    }
    .calc_checksum(*source, *destination, &body[4..])?;
    let mut bytes = vec![kind, code];
    bytes.extend(checksum.to_be_bytes());
    bytes.extend(body);
    Ok((58, bytes, 8))
}

/// The first two bytes of payload that give `frame` the TCP or UDP checksum `wanted` as sent: with it a case asks for
/// the values at which incremental updates go wrong.
pub fn balance(frame: &Frame, family: Family, protocol: Protocol, wanted: u16) -> Result<u16> {
    let mut zero = frame.clone();
    zero.word = Some(0);
    let (source, source_port) = family.socket(&frame.from)?;
    let (destination, destination_port) = family.socket(&frame.to)?;
    let (kind, at) = match protocol {
        Protocol::Tcp => ("tcp", 16),
        Protocol::Udp => ("udp", 6),
    };
    let ports = (source_port, destination_port);
    let (_, segment, _) = transport(
        &zero,
        kind,
        (family, protocol),
        (&source, &destination),
        ports,
    )?;
    let sent = u16::from_be_bytes([segment[at], segment[at + 1]]);
    // The checksum is the complement of the sum, so the word is (complement of wanted) - (complement of sent), in
    // one's complement arithmetic.
    let sum = u32::from(!wanted) + u32::from(sent);
    Ok(((sum & 0xffff) + (sum >> 16)) as u16)
}
