//! What the daemon learns from the kernel's network stack, through rtnetlink: interfaces, own addresses, and the next
//! hop of every backend; and what it says to the link about VIPs.

mod announce;
mod netlink;
mod news;
mod resolve;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use splitter_common::abi::{Address, mapped};

pub use announce::{Announcement, announce, interfaces_for};
pub use netlink::{Neighbour, Netlink, Route};
pub use news::News;
pub use resolve::{Neighbours, hop};
pub use watch::watch;

/// Why the network stack could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No netlink socket, or a broken one.
    #[error("cannot talk to the kernel through rtnetlink: {0}")]
    Socket(#[from] std::io::Error),
    /// A request failed.
    #[error("rtnetlink: cannot {what}: {source}")]
    Request {
        /// What was asked.
        what: &'static str,
        /// The kernel's answer.
        source: rtnetlink::Error,
    },
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its MAC address; none where it has none of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The kernel's id of its XDP program, and whether that runs in the driver.
    pub xdp: Option<(u32, bool)>,
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnAddress {
    /// Index of its interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its subnet's prefix.
    pub prefix: u8,
}

/// The way to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// This host itself.
    Local,
    /// A station on a link.
    Via {
        /// Interface that leads there.
        interface: u32,
        /// The station's MAC.
        destination_mac: [u8; 6],
        /// The interface's MAC.
        source_mac: [u8; 6],
        /// MTU of the way; at most 65,535.
        mtu: u16,
    },
    /// Not known, for this reason.
    Unresolved(String),
}

/// The network as it is seen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// All interfaces.
    pub links: Vec<Link>,
    /// Addresses of this host.
    pub own: BTreeSet<OwnAddress>,
    /// The way to every backend that was asked for.
    pub hops: BTreeMap<IpAddr, Hop>,
}

/// An address as the maps have it.
pub fn to_abi(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// An address out of the maps.
pub fn from_abi(address: &Address) -> IpAddr {
    std::net::Ipv6Addr::from(*address).to_canonical()
}
