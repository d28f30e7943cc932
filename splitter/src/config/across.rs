//! What services have to agree on with one another.

use std::collections::HashMap;
use std::net::IpAddr;

use super::ConfigError;
use super::node::Node;
use super::service::Seen;
use crate::model::{Announce, DaemonSettings, Ports, Protocol};

/// Ports of all services: each is a row of a map.
const PORTS: usize = 65_536;
/// Ways back of `nat` backends: each backend has one for each port that it answers on.
const REPLIES: usize = 65_536;

/// A place that errors about a later one refer to.
struct Place {
    path: String,
    line: usize,
}

impl Place {
    fn of(node: &Node<'_>) -> Self {
        Self {
            path: node.path.clone(),
            line: node.position().0,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (line {})", self.path, self.line)
    }
}

/// The services so far.
#[derive(Default)]
pub(super) struct Across {
    max_slots: u32,
    slots: u32,
    ports: usize,
    names: HashMap<String, Place>,
    fronts: HashMap<(IpAddr, u16, Protocol), Place>,
    hairpin_sources: Vec<IpAddr>,
    announces: HashMap<IpAddr, (Announce, Place)>,
    nat_backends: HashMap<(IpAddr, u16, Protocol), Place>,
}

impl Across {
    pub(super) fn new(daemon: &DaemonSettings) -> Self {
        Self {
            max_slots: daemon.max_slots,
            hairpin_sources: daemon.hairpin_source.clone(),
            ..Self::default()
        }
    }

    pub(super) fn admit_name(&mut self, name: &str, node: &Node<'_>) -> Result<(), ConfigError> {
        if let Some(first) = self.names.get(name) {
            let found = format!("{}, also {first}", node.shown());
            return Err(node.refuse(found, "a name that no other service has"));
        }
        self.names.insert(name.to_owned(), Place::of(node));
        Ok(())
    }

    /// One service for a VIP, port and protocol, and none that sends its packets to another one's VIP.
    pub(super) fn admit_front(
        &mut self,
        vip: IpAddr,
        ports: &Ports,
        protocol: Protocol,
        node: &Node<'_>,
    ) -> Result<(), ConfigError> {
        self.ports += ports.count();
        if self.ports > PORTS {
            let found = format!("{} ports of all services", self.ports);
            return Err(node.refuse(found, "at most 65,536 ports in all services"));
        }
        for port in ports.iter() {
            self.admit_port((vip, port, protocol), node)?;
        }
        Ok(())
    }

    fn admit_port(
        &mut self,
        front: (IpAddr, u16, Protocol),
        node: &Node<'_>,
    ) -> Result<(), ConfigError> {
        let (vip, port, protocol) = front;
        let what = format!("{vip} port {port} {}", protocol_name(protocol));
        self.admit_address(vip, "a VIP", node)?;
        if let Some(first) = self.fronts.get(&front) {
            let found = format!("{what}, also that of {first}");
            return Err(node.refuse(found, "a VIP, port and protocol that no other service has"));
        }
        if let Some(backend) = self.nat_backends.get(&front) {
            let found = format!("{what}, the backend {backend}");
            return Err(node.refuse(found, "a VIP that is not a backend of another service"));
        }
        self.fronts.insert(front, Place::of(node));
        Ok(())
    }

    /// An address is announced or it is not, whatever services it has.
    pub(super) fn admit_announce(
        &mut self,
        vip: IpAddr,
        announce: Announce,
        node: &Node<'_>,
    ) -> Result<(), ConfigError> {
        let name = |announce| {
            if announce == Announce::Arp {
                "arp"
            } else {
                "none"
            }
        };
        match self.announces.get(&vip) {
            Some((other, first)) if *other != announce => {
                let found = format!("announce = \"{}\" for {vip}", name(announce));
                let expected = format!("\"{}\", as for the same VIP at {first}", name(*other));
                Err(node.refuse(found, expected))
            }
            Some(_) => Ok(()),
            None => {
                self.announces.insert(vip, (announce, Place::of(node)));
                Ok(())
            }
        }
    }

    pub(super) fn admit_slots(&mut self, slots: u32, node: &Node<'_>) -> Result<(), ConfigError> {
        let left = self.max_slots - self.slots;
        if slots > left {
            let found = format!("{slots} slots where {left} are left");
            let expected = format!(
                "at most {} slots in all services (daemon.max_slots)",
                self.max_slots
            );
            return Err(node.refuse(found, expected));
        }
        self.slots += slots;
        Ok(())
    }

    /// What is sent to a hairpin source is never for anybody else.
    fn admit_address(
        &self,
        address: IpAddr,
        role: &str,
        node: &Node<'_>,
    ) -> Result<(), ConfigError> {
        if !self.hairpin_sources.contains(&address) {
            return Ok(());
        }
        let found = format!("{address}, also in daemon.hairpin_source");
        Err(node.refuse(found, format!("{role} of its own")))
    }

    /// No packet that comes back to a VIP.
    pub(super) fn admit_nat_backends(
        &mut self,
        protocol: Protocol,
        ports: &Ports,
        backends: Seen<'_>,
    ) -> Result<(), ConfigError> {
        let mut backends: Vec<_> = backends.into_iter().collect();
        backends.sort_by_key(|(_, node)| node.position());
        let dialled: Vec<u16> = ports.iter().collect();
        let each_port = backends.into_iter().flat_map(|((address, port), node)| {
            let ports = if port == 0 {
                dialled.clone()
            } else {
                vec![port]
            };
            ports
                .into_iter()
                .map(move |port| (address, port, node.clone()))
        });
        for (address, port, node) in each_port {
            let key = (address, port, protocol);
            let what = format!("{address} port {port} {}", protocol_name(protocol));
            self.admit_address(address, "a backend's address", &node)?;
            if let Some(vip) = self.fronts.get(&key) {
                let found = format!("{what}, the VIP of {vip}");
                return Err(node.refuse(found, "a backend that is not a service's VIP"));
            }
            if self.nat_backends.len() == REPLIES {
                let found = "one way back more than 65,536";
                let expected =
                    "at most 65,536 pairs of a backend and its port in all services of mode nat";
                return Err(node.refuse(found, expected));
            }
            let place = || Place::of(&node);
            self.nat_backends.entry(key).or_insert_with(place);
        }
        Ok(())
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
