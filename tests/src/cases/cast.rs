//! The named addresses and MACs that cases speak of, in both families.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use splitter_common::abi::{Address, mapped};
use std::net::Ipv6Addr;

/// IP version of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The interface that frames come in on: the loopback of a namespace, which test runs use.
pub const INGRESS: u32 = 1;
/// An interface other than the one that frames come in on.
pub const ELSEWHERE: u32 = 7;
/// Name, IPv4 and IPv6 address of everybody.
const CAST: &[(&str, [u8; 4], &str)] = &[
    // Clients: with a route back that the kernel knows, and without.
    ("client", [198, 51, 100, 7], "2001:db8:c::7"),
    ("nowhere", [192, 0, 2, 200], "2001:db8:dead::1"),
    // The service's VIP, announced; another one that is not.
    ("vip", [203, 0, 113, 10], "2001:db8:1::10"),
    ("quiet", [203, 0, 113, 11], "2001:db8:1::11"),
    // This host's own address, and a neighbour of it.
    ("host", [203, 0, 113, 1], "2001:db8:1::1"),
    ("neighbour", [203, 0, 113, 99], "2001:db8:1::99"),
    ("unspecified", [0, 0, 0, 0], "::"),
    // What the calls of backends get for a source.
    ("hairpin", [10, 0, 0, 250], "2001:db8:b::250"),
    // Backends.
    ("b0", [10, 0, 0, 11], "2001:db8:b::11"),
    ("b1", [10, 0, 0, 12], "2001:db8:b::12"),
    ("b2", [10, 0, 0, 13], "2001:db8:b::13"),
    ("b3", [10, 0, 0, 14], "2001:db8:b::14"),
];

/// Name and address of every MAC.
const MACS: &[(&str, [u8; 6])] = &[
    ("own", [0x02, 0, 0, 0, 0, 0x01]),
    ("own7", [0x02, 0, 0, 0, 0, 0x07]),
    ("gateway", [0x02, 0, 0, 0, 0xaa, 0x01]),
    ("other", [0x02, 0, 0, 0, 0xaa, 0x99]),
    ("broadcast", [0xff; 6]),
    ("solicited", [0x33, 0x33, 0xff, 0, 0, 0x10]),
    ("b0", [0x02, 0, 0, 0, 0xbb, 0]),
    ("b1", [0x02, 0, 0, 0, 0xbb, 1]),
    ("b2", [0x02, 0, 0, 0, 0xbb, 2]),
    ("b3", [0x02, 0, 0, 0, 0xbb, 3]),
    // What the route to `client` says.
    ("exit", [0x02, 0, 0, 0, 0xcc, 1]),
    ("router", [0x02, 0, 0, 0, 0xcc, 2]),
];

impl Family {
    /// The address of a name; a literal address is itself.
    pub fn address(self, name: &str) -> Result<Address> {
        if let Some((_, v4, v6)) = CAST.iter().find(|(known, ..)| *known == name) {
            return Ok(match self {
                Family::V4 => mapped(*v4),
                Family::V6 => v6.parse::<Ipv6Addr>()?.octets(),
            });
        }
        match name.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(v4)) => Ok(mapped(v4.octets())),
            Ok(std::net::IpAddr::V6(v6)) => Ok(v6.octets()),
            Err(_) => bail!("no address is called {name:?}"),
        }
    }

    /// The address and port of `name:port`.
    pub fn socket(self, text: &str) -> Result<(Address, u16)> {
        let (name, port) = text
            .rsplit_once(':')
            .with_context(|| format!("{text:?} is not name:port"))?;
        Ok((self.address(name)?, port.parse()?))
    }
}

/// The MAC of a name.
pub fn mac(name: &str) -> Result<[u8; 6]> {
    match MACS.iter().find(|(known, _)| *known == name) {
        Some((_, mac)) => Ok(*mac),
        None => bail!("no MAC is called {name:?}"),
    }
}

/// Bytes of a string of hexadecimal digits; blanks are ignored.
pub fn hex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        bail!("{text:?} has an odd number of digits");
    }
    digits
        .chunks(2)
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}
