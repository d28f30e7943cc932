//! Who has which address. All are of the ranges for documentation (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use super::link::{address, route};
use super::namespace::Namespace;
use super::{BACKENDS, Topology};

/// Port of the service, and of backends with a host of their own.
pub(super) const PORT: u16 = 80;
/// First port of backends that share the edge host.
const LOCAL_PORT: u16 = 8081;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Both families.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The addresses of hosts on the two links.
#[derive(Clone, Copy, Debug)]
pub struct Addresses;

impl Addresses {
    /// Port that clients dial.
    pub const PORT: u16 = PORT;

    /// An address on the link of the clients.
    pub fn front(family: Family, host: u8) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, host).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host.into()).into(),
        }
    }

    /// An address on the link of the backends, where that is another one.
    pub fn back(family: Family, host: u8) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(203, 0, 113, host).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, host.into()).into(),
        }
    }

    /// The client.
    pub fn client(family: Family) -> IpAddr {
        Self::front(family, 10)
    }

    /// The edge host, on the link of the clients.
    pub fn edge(family: Family) -> IpAddr {
        Self::front(family, 1)
    }
}

/// The VIP.
pub(super) fn vip(topology: Topology, family: Family) -> IpAddr {
    match (topology, family) {
        (Topology::Dsr, _) => Addresses::front(family, 100),
        (Topology::NatElsewhere, Family::V4) => Ipv4Addr::new(198, 51, 100, 1).into(),
        (Topology::NatElsewhere, Family::V6) => {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0xff, 0, 0, 0, 1).into()
        }
        (Topology::NatLocal, _) => Addresses::edge(family),
    }
}

/// A backend, by its index in [`BACKENDS`].
pub(super) fn backend(topology: Topology, family: Family, index: usize) -> SocketAddr {
    let host = [11, 12, 21, 22][index];
    match topology {
        Topology::Dsr => SocketAddr::new(Addresses::front(family, host), PORT),
        Topology::NatElsewhere => SocketAddr::new(Addresses::back(family, host), PORT),
        Topology::NatLocal => SocketAddr::new(Addresses::edge(family), LOCAL_PORT + index as u16),
    }
}

fn prefix(family: Family) -> u8 {
    if family == Family::V4 { 24 } else { 64 }
}

fn host_prefix(family: Family) -> u8 {
    if family == Family::V4 { 32 } else { 128 }
}

/// Gives every host its addresses, routes and parameters.
pub(super) fn assign(
    topology: Topology,
    client: &Namespace,
    edge: &Namespace,
    backends: &[Namespace],
) -> Result<()> {
    // Short requests take ports above in turn, see `clients/requests.rs`.
    client.sysctl("net/ipv4/ip_local_port_range", "1024 19999")?;
    if topology == Topology::NatElsewhere {
        edge.sysctl("net/ipv4/ip_forward", "1")?;
        edge.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    }
    for backend in backends {
        // The VIP on `lo` must not be announced: the edge host answers for it.
        backend.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
        backend.sysctl("net/ipv4/conf/all/arp_announce", "2")?;
    }
    for family in FAMILIES {
        let bits = prefix(family);
        address(client, "eth0", Addresses::client(family), bits)?;
        address(edge, "eth0", Addresses::edge(family), bits)?;
        if topology == Topology::NatElsewhere {
            address(edge, "eth1", Addresses::back(family, 1), bits)?;
            route(
                client,
                vip(topology, family),
                host_prefix(family),
                Addresses::edge(family),
            )?;
        }
        for (index, host) in backends.iter().enumerate() {
            address(host, "eth0", backend(topology, family, index).ip(), bits)?;
            match topology {
                Topology::Dsr => address(host, "lo", vip(topology, family), host_prefix(family))?,
                _ => route(host, unspecified(family), 0, Addresses::back(family, 1))?,
            }
        }
    }
    debug_assert!(backends.is_empty() || backends.len() == BACKENDS.len());
    Ok(())
}

/// Another address of a host on the link of the clients.
pub(super) fn add(host: &Namespace, family: Family, number: u8) -> Result<IpAddr> {
    let another = Addresses::front(family, number);
    address(host, "eth0", another, prefix(family))?;
    Ok(another)
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}
