//! Validated types: what can be written here can be put into force. PURE: no I/O, no clock.

mod ports;
mod prefix;
mod weights;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use ports::{Ports, PortsError};
pub use prefix::{Prefix, PrefixError};
pub use splitter_common::abi::{Affinity, Flows, Mode};
pub use weights::{BasisPoints, PercentFault, Weights, WeightsError};

/// A whole, validated configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The daemon's own settings.
    pub daemon: DaemonSettings,
    /// The services, in the order of the file.
    pub services: Vec<Service>,
    /// Where it was read; plays no part in equality.
    pub origin: Origin,
}

/// Where a configuration was read, for errors that only the host can tell. All origins are equal: two configurations
/// that say the same are the same.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The file, as it was named.
    pub file: String,
    /// Line and column of each interface's name.
    pub interfaces: Vec<(usize, usize)>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Settings of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    /// Interfaces that get the program.
    pub interfaces: Vec<String>,
    /// How the program is attached.
    pub xdp_mode: XdpMode,
    /// The API's Unix socket.
    pub socket: PathBuf,
    /// Where desired state is kept.
    pub state_dir: PathBuf,
    /// Folder in a BPF file system for pins.
    pub bpffs: PathBuf,
    /// Slots of all services together.
    pub max_slots: u32,
    /// Flow records that the table has room for; a power of two.
    pub flow_records: u32,
    /// Reverse records that their table has room for; a power of two.
    pub reverse_records: u32,
    /// Sources of the calls of backends that come back to their link: at most one of each family.
    pub hairpin_source: Vec<IpAddr>,
    /// Secret of the hash and of the placement; none: made at the first start and kept in the state folder.
    pub seed: Option<Seed>,
    /// Outer sources of packets to backends in `ipip` mode, by the backend's family.
    pub tunnel_source: PerFamily<AddressRange>,
    /// Sources of ICMP errors; none: the VIP.
    pub icmp_source: PerFamily<IpAddr>,
}

/// At most one of something for each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerFamily<T> {
    /// IPv4's.
    pub v4: Option<T>,
    /// IPv6's.
    pub v6: Option<T>,
}

impl<T> Default for PerFamily<T> {
    fn default() -> Self {
        Self { v4: None, v6: None }
    }
}

impl<T> PerFamily<T> {
    /// That of the family of `address`.
    pub fn of(&self, address: IpAddr) -> Option<&T> {
        if address.is_ipv4() {
            self.v4.as_ref()
        } else {
            self.v6.as_ref()
        }
    }

    /// The place for that of the family of `address`.
    pub fn of_mut(&mut self, address: IpAddr) -> &mut Option<T> {
        if address.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        }
    }
}

/// A range of unicast addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The lowest one.
    pub address: IpAddr,
    /// How many of its bits all have.
    pub bits: u8,
}

/// The secret that hosts of a fleet share: key of the flow hash and of the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Native where the driver can, else generic.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// Generic (`skb`), or not at all.
    Skb,
}

/// A transport protocol that a service may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Who answers for the VIP on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// The VIP is routed here or configured on this host.
    None,
    /// The packet path answers ARP requests and neighbour solicitations.
    Arp,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, unique.
    pub name: String,
    /// Address that clients dial.
    pub vip: IpAddr,
    /// Ports that clients dial.
    pub ports: Ports,
    /// Protocol.
    pub protocol: Protocol,
    /// How flows of UDP are known in a transition; of no meaning for TCP.
    pub flows: Flows,
    /// How packets get to backends.
    pub mode: Mode,
    /// What chooses the slot.
    pub affinity: Affinity,
    /// Leading bits of the client's address that `client` affinity looks at; none: all.
    pub client_prefix: Option<u8>,
    /// Who answers for the VIP.
    pub announce: Announce,
    /// Whether echo requests to the VIP are answered on the packet path.
    pub icmp_echo: bool,
    /// Slots, a power of two.
    pub slots: u32,
    /// Name of the version that owns the service at rest, at first.
    pub stable: String,
    /// `D`: how long new flows keep going where they went before a change, so that handshakes under way end there.
    pub prepare: Duration,
    /// `T_idle` and `T_record`: a flow silent for so long is over.
    pub drain_idle: Duration,
    /// The versions, in the order of the file.
    pub versions: Vec<Version>,
    /// Routes in the file: clients, and the position of their version; the *initial* ones.
    pub routes: Vec<(Prefix, usize)>,
    /// Weights in the file, else everything to `stable`; the *initial* ones.
    pub weights: Weights,
}

/// A named set of backends.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Its name, unique in the service.
    pub name: String,
    /// Its backends.
    pub backends: Vec<Backend>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its address.
    pub address: IpAddr,
    /// Its port in `nat` mode; 0: the one that the client dialled.
    pub port: u16,
    /// Its share within the version, 1 to 65,535.
    pub weight: u32,
}

impl Service {
    /// Whether flows are known in a transition, so that none moves.
    pub fn is_tracked(&self) -> bool {
        self.protocol == Protocol::Tcp || self.flows != Flows::Hash
    }

    /// The version of that name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.name == name)
    }
}
