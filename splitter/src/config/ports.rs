//! `port` and `ports`: what clients dial.

use super::ConfigError;
use super::node::{Node, Table};
use super::values;
use crate::model::{Ports, PortsError};

const EXPECTED: &str =
    "1 to 1,024 ports: a range such as \"8000-8099\", or an array such as [80, 443, \"8000-8099\"]";

/// The service's ports, and where they stand.
pub(super) fn read<'a>(table: &Table<'a>) -> Result<(Ports, Node<'a>), ConfigError> {
    match (table.get("port"), table.get("ports")) {
        (Some(_), Some(ports)) => Err(ports.not("one of the two, port or ports")),
        (None, Some(node)) => Ok((several(&node)?, node)),
        (port, None) => {
            const EXPECTED: &str = "a port from 1 to 65,535";
            let node = port.ok_or_else(|| table.missing("port", EXPECTED))?;
            let ports = Ports::one(values::port(&node)?).map_err(|_| node.not(EXPECTED))?;
            Ok((ports, node))
        }
    }
}

fn several(node: &Node<'_>) -> Result<Ports, ConfigError> {
    let mut ports = Vec::new();
    if node.is_array() {
        for item in node.array(EXPECTED)? {
            if item.is_string() {
                ports.extend(range(&item)?);
            } else {
                ports.push(values::port(&item)?);
            }
        }
    } else {
        ports.extend(range(node)?);
    }
    Ports::new(ports).map_err(|error| {
        let expected = match error {
            PortsError::Twice(_) => "each port once",
            PortsError::Many(_) => "at most 1,024 ports in a service",
            PortsError::None | PortsError::Zero => EXPECTED,
        };
        node.refuse(error.to_string(), expected)
    })
}

/// `"8000-8099"`, both ends included.
fn range(node: &Node<'_>) -> Result<std::ops::RangeInclusive<u16>, ConfigError> {
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port| digits && *port > 0)
    };
    let text = node.string(EXPECTED)?;
    let ends: Option<(u16, u16)> = text
        .split_once('-')
        .and_then(|(first, last)| Some((port(first)?, port(last)?)));
    match ends {
        Some((first, last)) if first < last => Ok(first..=last),
        _ => Err(node.not("a range such as \"8000-8099\", the lower port first")),
    }
}
