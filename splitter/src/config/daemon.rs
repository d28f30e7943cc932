//! `[daemon]`.

use std::net::IpAddr;
use std::path::PathBuf;

use super::ConfigError;
use super::keys::Section;
use super::node::{Node, Table};
use super::values::{self, Role};
use crate::model::{DaemonSettings, XdpMode};

/// Bytes of a path that a Unix socket's address has room for.
const SOCKET_PATH: usize = 107;
/// Bytes of a path that the kernel takes.
const PATH: usize = 4095;

/// The settings, and where each interface's name stands.
pub(super) fn read(root: &Table<'_>) -> Result<(DaemonSettings, Vec<(usize, usize)>), ConfigError> {
    let table = root
        .require("daemon", "a table [daemon]")?
        .table(Section::Daemon)?;

    const INTERFACES: &str = "an array of at least one interface name";
    let list = table.require("interfaces", INTERFACES)?;
    let nodes = list.array(INTERFACES)?;
    if nodes.is_empty() {
        return Err(list.not(INTERFACES));
    }
    let mut interfaces: Vec<String> = Vec::new();
    let mut positions = Vec::new();
    for node in &nodes {
        let name = values::interface(node)?;
        if let Some(first) = interfaces.iter().position(|other| *other == name) {
            let found = format!("{}, also daemon.interfaces[{first}]", node.shown());
            return Err(node.refuse(found, "each interface once"));
        }
        interfaces.push(name);
        positions.push(node.position());
    }

    let settings = DaemonSettings {
        interfaces,
        xdp_mode: values::or(&table, "xdp_mode", XdpMode::Auto, |node| {
            let modes = [
                ("auto", XdpMode::Auto),
                ("native", XdpMode::Native),
                ("skb", XdpMode::Skb),
            ];
            values::choice(node, &modes, &[])
        })?,
        socket: values::or(
            &table,
            "socket",
            PathBuf::from("/run/splitter/splitter.sock"),
            |node| values::path(node, SOCKET_PATH),
        )?,
        state_dir: values::or(
            &table,
            "state_dir",
            PathBuf::from("/var/lib/splitter"),
            |node| values::path(node, PATH),
        )?,
        bpffs: values::or(
            &table,
            "bpffs",
            PathBuf::from("/sys/fs/bpf/splitter"),
            |node| values::path(node, PATH),
        )?,
        max_slots: values::or(&table, "max_slots", 1 << 20, |node| {
            node.integer(64..=1 << 24, "a number from 64 to 16,777,216")
        })?,
        flow_records: values::or(&table, "flow_records", 1 << 20, |node| {
            let expected = "a power of two from 1,024 to 4,194,304";
            values::power_of_two(node, 1 << 10..=1 << 22, expected)
        })?,
        reverse_records: values::or(&table, "reverse_records", 1 << 20, |node| {
            let expected = "a power of two from 1,024 to 4,194,304";
            values::power_of_two(node, 1 << 10..=1 << 22, expected)
        })?,
        hairpin_source: values::or(&table, "hairpin_source", Vec::new(), hairpin_source)?,
        seed: values::or(&table, "seed", None, |node| values::seed(node).map(Some))?,
    };
    Ok((settings, positions))
}

/// Addresses, one of each family at most.
fn hairpin_source(list: &Node<'_>) -> Result<Vec<IpAddr>, ConfigError> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for node in list.array("an array of at most one IPv4 and one IPv6 address")? {
        let address = values::address(&node, Role::Vip)?;
        if let Some(first) = addresses
            .iter()
            .position(|other| other.is_ipv4() == address.is_ipv4())
        {
            let found = format!(
                "{}, of the family of daemon.hairpin_source[{first}]",
                node.shown()
            );
            return Err(node.refuse(found, "one address of each family at most"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}
