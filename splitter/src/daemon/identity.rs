//! Names of things across restarts.

use std::net::IpAddr;

use splitter_common::abi::{Address, Service as Row, ServiceKey};

use crate::model::{Backend, Protocol, Service};
use crate::net::{from_abi, to_abi};

/// IP protocol number.
pub(super) const fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// Name of a protocol in views and in the state file.
pub(super) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// The look-up keys of a service, one a port.
pub(super) fn keys_of(service: &Service) -> impl Iterator<Item = ServiceKey> + '_ {
    service.ports.iter().map(|port| ServiceKey {
        vip: to_abi(service.vip),
        port,
        protocol: protocol_number(service.protocol),
        reserved: 0,
    })
}

/// The identity of a service as it stands in the maps: the key of the port that was its lowest when it was first
/// started. Other ports come and go.
pub(super) fn key_of_row(row: &Row) -> ServiceKey {
    ServiceKey {
        vip: row.vip,
        port: row.port,
        protocol: row.protocol,
        reserved: 0,
    }
}

/// A service's identity in words.
pub(super) fn key_name(key: &ServiceKey) -> String {
    let protocol = match key.protocol {
        6 => "tcp",
        17 => "udp",
        _ => "unknown",
    };
    let address = std::net::SocketAddr::new(from_abi(&key.vip), key.port);
    format!("{protocol} {address}")
}

/// A backend's identity within its service; port 0: the one that the client dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BackendId {
    pub(super) address: Address,
    pub(super) port: u16,
}

impl BackendId {
    pub(super) fn of(backend: &Backend) -> Self {
        Self {
            address: to_abi(backend.address),
            port: backend.port,
        }
    }

    pub(super) fn ip(&self) -> IpAddr {
        from_abi(&self.address)
    }

    /// In the state file and in the log.
    pub(super) fn name(&self) -> String {
        match self.port {
            0 => self.ip().to_string(),
            port => format!("{} {port}", self.ip()),
        }
    }

    /// Its port in views of `service`; 0: the one that the client dialled, of several.
    pub(super) fn port_in(&self, service: &Service) -> u16 {
        match self.port {
            0 => service.ports.only().unwrap_or(0),
            port => port,
        }
    }
}
