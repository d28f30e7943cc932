//! `[[service]]`: one service, its versions and backends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::across::Across;
use super::keys::Section;
use super::node::{Node, Table};
use super::values::{self, Role};
use super::{ConfigError, ports, weights};
use crate::model::{
    AddressRange, Affinity, Announce, Backend, Flows, Mode, PerFamily, Ports, Protocol, Service,
    Version,
};
use crate::plan;

/// Versions that a service may have.
const VERSIONS: usize = 64;
/// Backends that a service may have: their numbers have 16 bits.
const BACKENDS: usize = 65_535;

/// What a service's backends have to agree with.
struct Front<'a> {
    vip: IpAddr,
    ports: &'a Ports,
    mode: Mode,
    tunnel_source: PerFamily<AddressRange>,
}

/// Reads a service and checks it against those before it.
pub(super) fn read(node: &Node<'_>, across: &mut Across) -> Result<Service, ConfigError> {
    let table = node.table(Section::Service)?;
    let name_node = table.require("name", "the service's name")?;
    let name = values::name(&name_node)?;
    across.admit_name(&name, &name_node)?;

    let vip_node = table.require("vip", "an IPv4 or IPv6 address")?;
    let vip = values::address(&vip_node, Role::Vip)?;
    let (ports, port_node) = ports::read(&table)?;
    let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let protocol = table.require("protocol", "\"tcp\" or \"udp\"")?;
    let protocol = values::choice(&protocol, &protocols, &["quic"])?;
    across.admit_front(vip, &ports, protocol, &port_node)?;
    let flows = read_flows(&table, protocol)?;

    let modes = [("dsr", Mode::Dsr), ("ipip", Mode::Ipip), ("nat", Mode::Nat)];
    let mode = table.require("mode", "\"dsr\", \"ipip\" or \"nat\"")?;
    let mode = values::choice(&mode, &modes, &[])?;
    let affinity = values::or(&table, "affinity", Affinity::Flow, |node| {
        values::choice(
            node,
            &[("flow", Affinity::Flow), ("client", Affinity::Client)],
            &[],
        )
    })?;
    let client_prefix = table
        .get("client_prefix")
        .map(|node| read_client_prefix(&node, vip, affinity))
        .transpose()?;
    let announce_node = table.get("announce");
    let announce = values::or(&table, "announce", Announce::None, |node| {
        values::choice(
            node,
            &[("none", Announce::None), ("arp", Announce::Arp)],
            &[],
        )
    })?;
    across.admit_announce(vip, announce, announce_node.as_ref().unwrap_or(&vip_node))?;

    let icmp_echo = match table.get("icmp_echo") {
        Some(node) => node.boolean()?,
        None => false,
    };

    let slots_node = table.get("slots");
    let slots = values::or(&table, "slots", 16_384, |node| {
        values::power_of_two(node, plan::SLOTS, "a power of two from 64 to 65,536")
    })?;
    across.admit_slots(slots, slots_node.as_ref().unwrap_or(&name_node))?;

    let prepare = values::or(&table, "prepare", Duration::from_secs(3), |node| {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(6);
        values::duration(node, bounds, "a time from 100ms to 6s, such as \"3s\"")
    })?;
    let drain_idle = match table.get("drain") {
        None => IDLE,
        Some(drain) => read_drain(&drain.table(Section::Drain)?)?,
    };

    let front = Front {
        vip,
        ports: &ports,
        mode,
        tunnel_source: across.tunnel_source,
    };
    let mut seen = HashMap::new();
    let mut versions: Vec<Version> = Vec::new();
    let version_nodes = read_version_nodes(&table)?;
    for node in &version_nodes {
        let version = read_version(node, &front, &versions, &mut seen)?;
        versions.push(version);
    }
    if mode == Mode::Nat {
        across.admit_nat_backends(protocol, &ports, seen)?;
    }

    let names: Vec<&str> = versions
        .iter()
        .map(|version| version.name.as_str())
        .collect();
    let stable = read_stable(&table, &names)?;
    let weights = weights::read(&table, &names, stable, slots)?;
    for (index, version) in versions.iter().enumerate() {
        if version.backends.is_empty() && weights.share(index).0 > 0 {
            let backends = version_nodes[index].table(Section::Version)?;
            let backends = backends.require("backends", "an array")?;
            let expected = format!(
                "at least one backend, since the version's weight is {} %",
                weights.share(index)
            );
            return Err(backends.refuse("no backend", expected));
        }
    }
    let routes = super::routes::read(&table, vip, &versions)?;
    let stable = names[stable].to_owned();

    Ok(Service {
        name,
        vip,
        ports,
        protocol,
        flows,
        mode,
        affinity,
        client_prefix,
        announce,
        icmp_echo,
        slots,
        stable,
        prepare,
        drain_idle,
        versions,
        routes,
        weights,
    })
}

fn read_flows(table: &Table<'_>, protocol: Protocol) -> Result<Flows, ConfigError> {
    values::or(table, "flows", Flows::Hash, |node| {
        if protocol != Protocol::Udp {
            return Err(node.not("no such key for TCP, whose flows begin with a SYN"));
        }
        let known = [("hash", Flows::Hash), ("track", Flows::Track)];
        values::choice(node, &known, &[])
    })
}

fn read_client_prefix(node: &Node<'_>, vip: IpAddr, affinity: Affinity) -> Result<u8, ConfigError> {
    if affinity == Affinity::Flow {
        let expected = "no such key: with affinity \"flow\" the whole 5-tuple is looked at";
        return Err(node.not(expected));
    }
    let (most, expected) = match vip {
        IpAddr::V4(_) => (
            32,
            "a number of bits from 1 to 32, as the VIP is an IPv4 address",
        ),
        IpAddr::V6(_) => (
            128,
            "a number of bits from 1 to 128, as the VIP is an IPv6 address",
        ),
    };
    let bits = node.integer(1..=most, expected)?;
    Ok(u8::try_from(bits).expect("at most 128"))
}

const IDLE: Duration = Duration::from_secs(300);

fn read_drain(drain: &Table<'_>) -> Result<Duration, ConfigError> {
    values::or(drain, "idle", IDLE, |node| {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        values::duration(node, bounds, "a time from 1s to 24h, such as \"5m\"")
    })
}

fn read_version_nodes<'a>(table: &Table<'a>) -> Result<Vec<Node<'a>>, ConfigError> {
    const EXPECTED: &str = "1 to 64 tables [[service.version]]";
    let list = table.require("version", EXPECTED)?;
    let nodes = list.array(EXPECTED)?;
    match nodes.len() {
        0 => Err(list.not(EXPECTED)),
        count if count > VERSIONS => Err(list.refuse(format!("{count} versions"), EXPECTED)),
        _ => Ok(nodes),
    }
}

/// Where backends of the service stand, by address and port; port 0: as the client dialled.
pub(super) type Seen<'a> = HashMap<(IpAddr, u16), Node<'a>>;

fn read_version<'a>(
    node: &Node<'a>,
    front: &Front<'_>,
    earlier: &[Version],
    seen: &mut Seen<'a>,
) -> Result<Version, ConfigError> {
    let table = node.table(Section::Version)?;
    let name_node = table.require("name", "the version's name")?;
    let name = values::name(&name_node)?;
    if earlier.iter().any(|version| version.name == name) {
        let found = format!("{}, also the name of a version before", name_node.shown());
        return Err(name_node.refuse(found, "a name that no other version of the service has"));
    }
    const EXPECTED: &str = "an array of backends, such as [{ address = \"10.0.0.11\" }]";
    let list = table.require("backends", EXPECTED)?;
    let mut backends = Vec::new();
    for node in list.array(EXPECTED)? {
        if seen.len() == BACKENDS {
            return Err(node.refuse(
                "one backend more than 65,535",
                "at most 65,535 backends in a service",
            ));
        }
        backends.push(read_backend(&node, front, seen)?);
    }
    Ok(Version { name, backends })
}

fn read_backend<'a>(
    node: &Node<'a>,
    front: &Front<'_>,
    seen: &mut Seen<'a>,
) -> Result<Backend, ConfigError> {
    let table = node.table(Section::Backend)?;
    let address_node = table.require("address", "the backend's address")?;
    let address = values::address(&address_node, Role::Backend)?;
    check_family(address, front, &address_node)?;
    let port_node = table.get("port");
    if let (Mode::Dsr | Mode::Ipip, Some(port)) = (front.mode, &port_node) {
        let mode = if front.mode == Mode::Dsr {
            "dsr"
        } else {
            "ipip"
        };
        let expected = format!(
            "no port: in {mode} mode a backend gets the client's packet with the service's port"
        );
        return Err(port.not(expected));
    }
    if let (None, Some(port)) = (front.ports.only(), &port_node) {
        let expected = "no port: the service has several, and of a reply from one port of a backend nobody could tell \
                        which of them the client dialled";
        return Err(port.not(expected));
    }
    // What the client dialled already says it: it need not be told from a backend without a port.
    let port = port_node.as_ref().map_or(Ok(0), values::port)?;
    let port = if front.ports.only() == Some(port) {
        0
    } else {
        port
    };
    if address == front.vip && (front.mode != Mode::Nat || port == 0) {
        let expected = match front.mode {
            Mode::Dsr => "the backend's own address, by which its MAC address is found",
            Mode::Ipip => "the backend's own address, where the outer packet goes",
            Mode::Nat => "another address or port: what is sent to the VIP comes back here",
        };
        return Err(address_node.refuse(
            format!("{}, the VIP itself", address_node.shown()),
            expected,
        ));
    }
    if let Some(first) = seen.get(&(address, port)) {
        let (line, _) = first.position();
        let found = format!(
            "{}{}, also {} (line {line})",
            address_node.shown(),
            match (port, front.ports.only()) {
                (0, None) => String::new(),
                (0, Some(port)) | (port, _) => format!(" port {port}"),
            },
            first.path
        );
        return Err(address_node.refuse(found, "each backend once in a service"));
    }
    seen.insert((address, port), address_node);
    let weight = values::or(&table, "weight", 1, |node| {
        node.integer(1..=65_535, "a number from 1 to 65,535")
    })?;
    Ok(Backend {
        address,
        port,
        weight,
    })
}

/// The family of a backend's address is the VIP's, but in `ipip` mode, where it must have an outer source.
fn check_family(address: IpAddr, front: &Front, node: &Node<'_>) -> Result<(), ConfigError> {
    let name = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    if front.mode == Mode::Ipip {
        if front.tunnel_source.of(address).is_some() {
            return Ok(());
        }
        let family = name(address);
        let found = format!(
            "{}, and no {family} range in daemon.tunnel_source",
            node.shown()
        );
        let expected = format!("a tunnel_source of {family}, from which packets to it come");
        return Err(node.refuse(found, expected));
    }
    if address.is_ipv4() == front.vip.is_ipv4() {
        return Ok(());
    }
    let expected = format!(
        "an {} address, as the VIP is: neither dsr nor nat crosses families",
        name(front.vip)
    );
    Err(node.not(expected))
}

/// The index of the version that is stable.
fn read_stable(table: &Table<'_>, versions: &[&str]) -> Result<usize, ConfigError> {
    let expected = format!("the name of a version: {}", weights::list(versions));
    match table.get("stable") {
        None if versions.len() == 1 => Ok(0),
        None => Err(table.missing("stable", &expected)),
        Some(node) => {
            let name = node.string(&expected)?;
            versions
                .iter()
                .position(|version| *version == name)
                .ok_or_else(|| node.not(expected))
        }
    }
}
