//! Values of one kind: names, addresses, times, paths, choices.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use super::node::{Node, Table, quoted};
use crate::model::Seed;

/// `read` of the key's value, or `default` where the key is not written.
pub(super) fn or<T>(
    table: &Table<'_>,
    key: &str,
    default: T,
    read: impl Fn(&Node<'_>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    table.get(key).map_or(Ok(default), |node| read(&node))
}

/// A name of a service or version. It appears in commands (`blue=90`, `web/blue`), metrics and file names.
pub(super) fn name(node: &Node<'_>) -> Result<String, ConfigError> {
    const EXPECTED: &str =
        "a name of 1 to 63 letters, digits, \".\", \"_\" and \"-\", the first a letter or digit";
    let text = node.string(EXPECTED)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 63 && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(node.not(EXPECTED))
    }
}

/// A name that the kernel takes for an interface.
pub(super) fn interface(node: &Node<'_>) -> Result<String, ConfigError> {
    const EXPECTED: &str =
        "the name of an interface, 1 to 15 characters without \"/\", \":\" and blanks";
    let text = node.string(EXPECTED)?;
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if (1..=15).contains(&text.len()) && !text.contains(odd) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(node.not(EXPECTED))
    }
}

/// One of `choices`; those of `later` versions are refused as such.
pub(super) fn choice<T: Copy>(
    node: &Node<'_>,
    choices: &[(&str, T)],
    later: &[&str],
) -> Result<T, ConfigError> {
    let names: Vec<String> = choices.iter().map(|(name, _)| quoted(name)).collect();
    let expected = names.join(" or ");
    let text = node.string(&expected)?;
    if later.contains(&text) {
        let found = format!("{}, which is not supported by this version", quoted(text));
        return Err(node.refuse(found, expected));
    }
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| node.not(expected))
}

/// What an address is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Vip,
    Backend,
}

/// A unicast address that packets can be sent to from elsewhere.
pub(super) fn address(node: &Node<'_>, role: Role) -> Result<IpAddr, ConfigError> {
    const EXPECTED: &str = "an IPv4 or IPv6 address";
    let address: IpAddr = node
        .string(EXPECTED)?
        .parse()
        .map_err(|_| node.not(EXPECTED))?;
    let (kind, expected) = match address {
        _ if address.is_unspecified() => ("the unspecified address", "a unicast address"),
        _ if address.is_multicast() => ("a multicast address", "a unicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => ("the broadcast address", "a unicast address"),
        _ if address.is_loopback() && role == Role::Vip => {
            ("a loopback address", "an address that other hosts can dial")
        }
        _ if address.is_loopback() => (
            "a loopback address",
            "an address on an interface: the kernel drops packets from the network to loopback, \
             also for a backend on this host",
        ),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            ("an IPv4-mapped address", "the IPv4 address itself")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => (
            "a link-local address",
            "an address that means the same on every link",
        ),
        _ => return Ok(address),
    };
    Err(node.refuse(format!("{}, {kind}", node.shown()), expected))
}

/// A TCP or UDP port.
pub(super) fn port(node: &Node<'_>) -> Result<u16, ConfigError> {
    let port = node.integer(1..=65_535, "a port from 1 to 65,535")?;
    Ok(u16::try_from(port).expect("a port in bounds"))
}

/// A power of two within bounds, which `expected` says.
pub(super) fn power_of_two(
    node: &Node<'_>,
    bounds: std::ops::RangeInclusive<u32>,
    expected: &str,
) -> Result<u32, ConfigError> {
    let number = node.integer(bounds, expected)?;
    if number.is_power_of_two() {
        Ok(number)
    } else {
        Err(node.not(expected))
    }
}

/// A time such as `5m` or `500ms`, within bounds, which `expected` says.
pub(super) fn duration(
    node: &Node<'_>,
    bounds: std::ops::RangeInclusive<Duration>,
    expected: &str,
) -> Result<Duration, ConfigError> {
    humantime::parse_duration(node.string(expected)?)
        .ok()
        .filter(|duration| bounds.contains(duration))
        .ok_or_else(|| node.not(expected))
}

/// An absolute path of at most `most` bytes.
pub(super) fn path(node: &Node<'_>, most: usize) -> Result<PathBuf, ConfigError> {
    let expected = format!("an absolute path of at most {most} bytes");
    let text = node.string(&expected)?;
    if text.starts_with('/') && text.len() <= most && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err(node.not(expected))
    }
}

/// 128 bits in hexadecimal. What stands there is a secret: errors do not repeat it.
pub(super) fn seed(node: &Node<'_>) -> Result<Seed, ConfigError> {
    const EXPECTED: &str = "32 hexadecimal digits";
    let text = node.string(EXPECTED)?;
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(node.refuse("text that is not hexadecimal", EXPECTED));
    }
    if text.len() != 32 {
        return Err(node.refuse(format!("{} digits", text.len()), EXPECTED));
    }
    let half = |digits| u64::from_str_radix(digits, 16).expect("16 hexadecimal digits");
    match [half(&text[..16]), half(&text[16..])] {
        [0, 0] => Err(node.refuse("only zeros", "a secret of 32 hexadecimal digits")),
        seed => Ok(Seed(seed)),
    }
}
