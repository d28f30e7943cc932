//! Addresses of this host that packets of its own making come from: at most one of each family.

use std::net::{IpAddr, Ipv6Addr};

use super::ConfigError;
use super::node::Node;
use super::values::{self, Role};
use crate::model::{AddressRange, PerFamily};

/// `icmp_source`.
pub(super) fn icmp(node: &Node<'_>) -> Result<PerFamily<IpAddr>, ConfigError> {
    const EXPECTED: &str = "an array of at most two addresses, one of each family";
    let mut sources = PerFamily::default();
    for node in node.array(EXPECTED)? {
        let address = values::address(&node, Role::Vip)?;
        put(&mut sources, address, address, &node)?;
    }
    Ok(sources)
}

/// `tunnel_source`.
pub(super) fn tunnel(node: &Node<'_>) -> Result<PerFamily<AddressRange>, ConfigError> {
    const EXPECTED: &str = "an array of at most two address ranges, one of each family";
    let mut sources = PerFamily::default();
    for node in node.array(EXPECTED)? {
        let range = range(&node)?;
        put(&mut sources, range.address, range, &node)?;
    }
    Ok(sources)
}

fn put<T>(
    sources: &mut PerFamily<T>,
    address: IpAddr,
    value: T,
    node: &Node<'_>,
) -> Result<(), ConfigError> {
    if sources.of(address).is_some() {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let found = format!("{}, the second of {family}", node.shown());
        return Err(node.refuse(found, "at most one of each family"));
    }
    *sources.of_mut(address) = Some(value);
    Ok(())
}

/// A range of unicast addresses.
fn range(node: &Node<'_>) -> Result<AddressRange, ConfigError> {
    const EXPECTED: &str = "a range such as \"10.255.0.0/16\" or \"fd00:1::/64\": IPv4 of 8 to 32 bits, IPv6 of 32 to 128";
    let text = node.string(EXPECTED)?;
    let (address, bits) = text.split_once('/').ok_or_else(|| node.not(EXPECTED))?;
    let address: IpAddr = address.parse().map_err(|_| node.not(EXPECTED))?;
    let bits: u8 = bits.parse().map_err(|_| node.not(EXPECTED))?;
    let (least, most) = if address.is_ipv4() {
        (8, 32)
    } else {
        (32, 128)
    };
    if !(least..=most).contains(&bits) {
        return Err(node.not(EXPECTED));
    }
    let base = base(address, bits);
    if base != address {
        return Err(node.not(format!("\"{base}/{bits}\", the range that it lies in")));
    }
    let odd = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || match address {
            IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] == 127 || v4.octets()[0] >= 224,
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
        };
    if odd {
        let found = format!(
            "{}, which has no address that a host could have",
            node.shown()
        );
        return Err(node.refuse(found, EXPECTED));
    }
    Ok(AddressRange { address, bits })
}

/// The lowest address of the range.
fn base(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX << (32 - u32::from(bits));
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (128 - u32::from(bits));
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}
