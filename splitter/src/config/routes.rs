//! `[[service.route]]`: clients → version.

use std::net::IpAddr;

use super::ConfigError;
use super::keys::Section;
use super::node::{Node, Table};
use super::weights;
use crate::model::{Prefix, Version};

/// Prefixes that a service may have routes for.
const MOST: usize = 256;

/// The routes of a service: each prefix with the position of its version.
pub(super) fn read(
    service: &Table<'_>,
    vip: IpAddr,
    versions: &[Version],
) -> Result<Vec<(Prefix, usize)>, ConfigError> {
    const EXPECTED: &str = "tables [[service.route]]";
    let Some(list) = service.get("route") else {
        return Ok(Vec::new());
    };
    let mut routes = Vec::new();
    for node in list.array(EXPECTED)? {
        let table = node.table(Section::Route)?;
        let version = read_version(&table, versions)?;
        const CLIENTS: &str = "an array of CIDRs, such as [\"10.8.0.0/16\"]";
        let clients = table.require("clients", CLIENTS)?;
        let prefixes = clients.array(CLIENTS)?;
        if prefixes.is_empty() {
            return Err(clients.not(CLIENTS));
        }
        for node in prefixes {
            let prefix = read_prefix(&node, vip)?;
            if routes.iter().any(|(known, _)| *known == prefix) {
                let found = format!("{}, also in a place before", node.shown());
                return Err(node.refuse(found, "each prefix once in a service"));
            }
            if routes.len() == MOST {
                let expected = format!("at most {MOST} prefixes in a service");
                return Err(node.refuse(format!("one prefix more than {MOST}"), expected));
            }
            routes.push((prefix, version));
        }
    }
    Ok(routes)
}

fn read_version(table: &Table<'_>, versions: &[Version]) -> Result<usize, ConfigError> {
    let names: Vec<&str> = versions.iter().map(|it| it.name.as_str()).collect();
    let expected = format!("the name of a version: {}", weights::list(&names));
    let node = table.require("version", &expected)?;
    let name = node.string(&expected)?;
    let at = names.iter().position(|known| *known == name);
    let at = at.ok_or_else(|| node.not(&expected))?;
    if versions[at].backends.is_empty() {
        let found = format!("{}, which has no backend", node.shown());
        return Err(node.refuse(found, "a version with backends"));
    }
    Ok(at)
}

fn read_prefix(node: &Node<'_>, vip: IpAddr) -> Result<Prefix, ConfigError> {
    const EXPECTED: &str = "a CIDR, such as \"10.8.0.0/16\"";
    let prefix: Prefix = node
        .string(EXPECTED)?
        .parse()
        .map_err(|error| match error {
            crate::model::PrefixError::HostBits { right, .. } => node.refuse(
                format!("{}, which has host bits set", node.shown()),
                format!("the prefix, \"{right}\""),
            ),
            _ => node.not(EXPECTED),
        })?;
    if prefix.address().is_ipv4() != vip.is_ipv4() {
        let family = if vip.is_ipv4() { "IPv4" } else { "IPv6" };
        return Err(node.not(format!("an {family} prefix, as the VIP is")));
    }
    Ok(prefix)
}
