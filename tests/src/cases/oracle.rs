//! An oracle of its own for frames: are their lengths right, and each of their checksums? It shares no code with the
//! steering: lengths are also asked of `etherparse`, and checksums are summed anew over all bytes (RFC 1071).

use etherparse::SlicedPacket;

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const IP_IN_IP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const DESTINATION: u8 = 60;
/// More headers in a row than any frame of the tests has.
const DEEP: usize = 16;

/// How a checksum stands to the bytes that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// UDP's "none".
    Absent,
    /// It fits.
    Right,
    /// It does not.
    Wrong,
}

/// What is known of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Each checksum, the outer ones first, by the header that it stands in.
    pub all: Vec<(&'static str, Sum)>,
}

impl Sums {
    /// Whether none is wrong.
    pub fn right(&self) -> bool {
        self.all.iter().all(|(_, sum)| *sum != Sum::Wrong)
    }

    /// Whether the last of `self` are those of `other`: what was encapsulated is as it was.
    pub fn end_with(&self, other: &Self) -> bool {
        self.all.ends_with(&other.all)
    }
}

/// The checksums of a frame, or what is wrong with its lengths.
pub fn sums(frame: &[u8]) -> Result<Sums, String> {
    if let Err(error) = SlicedPacket::from_ethernet(frame) {
        return Err(format!("etherparse: {error}"));
    }
    let mut sums = Sums { all: Vec::new() };
    let mut at = 12;
    let mut kind = u16_at(frame, at)?;
    while matches!(kind, 0x8100 | 0x88a8) {
        at += 4;
        kind = u16_at(frame, at)?;
    }
    let rest = &frame[at + 2..];
    match kind {
        0x0800 => v4(rest, &mut sums)?,
        0x86dd => v6(rest, &mut sums)?,
        _ => {}
    }
    Ok(sums)
}

fn v4(bytes: &[u8], sums: &mut Sums) -> Result<(), String> {
    let first = *bytes.first().ok_or("no IPv4 header")?;
    let header = usize::from(first & 15) * 4;
    let total = usize::from(u16_at(bytes, 2)?);
    if first >> 4 != 4 || header < 20 || total < header || total > bytes.len() {
        return Err(format!("IPv4: header {header}, total {total}"));
    }
    sums.all.push(("ip", fits(&[&bytes[..header]])));
    if u16_at(bytes, 6)? & 0x3fff != 0 {
        return Ok(());
    }
    let mut pseudo = bytes[12..20].to_vec();
    let payload = &bytes[header..total];
    pseudo.extend([0, bytes[9]]);
    pseudo.extend((payload.len() as u16).to_be_bytes());
    transport(bytes[9], &pseudo, payload, false, sums)
}

fn v6(bytes: &[u8], sums: &mut Sums) -> Result<(), String> {
    let length = usize::from(u16_at(bytes, 4)?);
    if bytes.len() < 40 + length || bytes[0] >> 4 != 6 {
        return Err(format!("IPv6: payload {length}"));
    }
    let (mut next, mut payload) = (bytes[6], &bytes[40..40 + length]);
    for _ in 0..DEEP {
        let size = match next {
            HOP_BY_HOP | DESTINATION | ROUTING => (usize::from(byte_at(payload, 1)?) + 1) * 8,
            AUTHENTICATION => (usize::from(byte_at(payload, 1)?) + 2) * 4,
            FRAGMENT => 8,
            _ => break,
        };
        let split = next == FRAGMENT && u16_at(payload, 2)? & 0xfff9 != 0;
        // With segments left, the checksum is over another destination than the header's (RFC 8200, 8.1).
        let elsewhere = next == ROUTING && byte_at(payload, 3)? != 0;
        if split || elsewhere {
            return Ok(());
        }
        next = byte_at(payload, 0)?;
        payload = payload.get(size..).ok_or("IPv6: an extension is cut off")?;
    }
    let mut pseudo = bytes[8..40].to_vec();
    pseudo.extend((payload.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, next]);
    transport(next, &pseudo, payload, true, sums)
}

fn transport(
    protocol: u8,
    pseudo: &[u8],
    payload: &[u8],
    v6: bool,
    sums: &mut Sums,
) -> Result<(), String> {
    match protocol {
        TCP => {
            let header = usize::from(byte_at(payload, 12)? >> 4) * 4;
            if header < 20 || header > payload.len() {
                return Err(format!("TCP: header {header} of {}", payload.len()));
            }
            sums.all.push(("tcp", fits(&[pseudo, payload])));
        }
        UDP => {
            let length = u16_at(payload, 4)?;
            if payload.len() < 8 || usize::from(length) != payload.len() {
                return Err(format!("UDP: length {length} of {}", payload.len()));
            }
            let sum = if u16_at(payload, 6)? == 0 {
                Sum::Absent
            } else {
                fits(&[pseudo, payload])
            };
            sums.all.push(("udp", sum));
        }
        ICMP if !v6 => {
            sums.all.push(("icmp", fits(&[payload])));
            if matches!(byte_at(payload, 0)?, 3 | 11 | 12) {
                embedded(payload, sums);
            }
        }
        ICMPV6 if v6 => sums.all.push(("icmpv6", fits(&[pseudo, payload]))),
        IP_IN_IP => v4(payload, sums)?,
        IPV6 => self::v6(payload, sums)?,
        _ => {}
    }
    Ok(())
}

/// The header of the packet that an ICMP error is about, where it is whole.
fn embedded(message: &[u8], sums: &mut Sums) {
    let Some(inner) = message.get(8..) else {
        return;
    };
    let header = inner.first().map_or(0, |first| usize::from(first & 15) * 4);
    if header >= 20 && header <= inner.len() {
        sums.all.push(("embedded ip", fits(&[&inner[..header]])));
    }
}

/// Whether the one's complement sum over all parts, checksum included, is all ones (RFC 1071). All parts but the last
/// have an even length.
fn fits(parts: &[&[u8]]) -> Sum {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if sum == 0xffff {
        Sum::Right
    } else {
        Sum::Wrong
    }
}

fn byte_at(bytes: &[u8], at: usize) -> Result<u8, String> {
    bytes.get(at).copied().ok_or_else(|| "cut off".into())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, String> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err("cut off".into()),
    }
}
