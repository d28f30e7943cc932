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

/// The look-up key of a service: its identity.
pub(super) fn key_of(service: &Service) -> ServiceKey {
    ServiceKey {
        vip: to_abi(service.vip),
        port: service.port,
        protocol: protocol_number(service.protocol),
        reserved: 0,
    }
}

/// The look-up key of a service as it stands in the maps.
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

/// A backend's identity within its service.
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

    /// In the state file.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.ip(), self.port)
    }
}
