//! The lab: client, edge host and backends, each in a network namespace of its own, joined by bridges in another.
//!
//! Nothing of it is named in the host's name space or outlives the process: namespaces are held by descriptors, the
//! edge host's pins live in a BPF file system that only its own mount namespace sees.
//!
//! ```text
//! dsr                                    nat elsewhere                          nat local
//! client ─┐                              client ─ front ─ eth0 edge eth1 ─┐     client ─ front ─ eth0 edge
//! edge ───┤ front                                                     back│
//! blue-1 ─┤                              blue-1, blue-2, green-1, green-2 ┘     blue-1 … green-2 are four
//! blue-2 … green-2                       default route by the edge host         ports of the edge host
//! ```

mod addresses;
mod bpf;
mod config;
mod link;
mod namespace;
mod offload;
mod splitter;
mod test_run;
mod wait;
mod xdp_pass;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result};

pub use addresses::{Addresses, FAMILIES, Family};
pub use config::{Config, ServiceConfig, VersionConfig};
pub use namespace::{Namespace, Process, die_with_this_thread};
pub(crate) use splitter::sibling;
pub use splitter::{CommandOutput, Splitter, splitter_binary};
pub use test_run::{Outcome, Program};
pub use wait::{now_ns, wait_for};

/// Names of the four backends; the part before the dash is their version.
pub const BACKENDS: [&str; 4] = ["blue-1", "blue-2", "green-1", "green-2"];

/// How backends are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Client, edge host and backends on one link; backends hold the VIP; the edge host answers ARP and ND for it.
    Dsr,
    /// Backends behind the edge host, which is their router; the VIP is routed to the edge host.
    NatElsewhere,
    /// Backends are ports of the edge host's own address, which is the VIP.
    NatLocal,
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    /// How backends are reached.
    pub topology: Topology,
    /// Where clients run.
    pub client: Namespace,
    /// Where splitter runs.
    pub edge: Namespace,
    /// The bridges.
    pub switch: Namespace,
    /// Where each of [`BACKENDS`] runs; empty where they run on the edge host.
    backends: Vec<Namespace>,
    /// Keeps the trivial programs of the switch's ports attached.
    _port_programs: Vec<OwnedFd>,
    folder: tempfile::TempDir,
}

impl Lab {
    /// Builds the network. Takes some tens of milliseconds.
    pub fn new(topology: Topology) -> Result<Self> {
        let switch = Namespace::new("switch")?;
        let client = Namespace::new("client")?;
        let edge = Namespace::with_file_systems("edge")?;
        let mut backends = Vec::new();
        if topology != Topology::NatLocal {
            for name in BACKENDS {
                backends.push(Namespace::new(name)?);
            }
        }

        link::configure_switch(&switch, topology == Topology::NatElsewhere)?;
        let backend_bridge = if topology == Topology::Dsr {
            "front"
        } else {
            "back"
        };
        let mut ports = vec!["to-client".to_owned(), "to-edge".to_owned()];
        link::plug(&switch, "front", "to-client", &client, "eth0")?;
        link::plug(&switch, "front", "to-edge", &edge, "eth0")?;
        if topology == Topology::NatElsewhere {
            link::plug(&switch, "back", "to-edge-back", &edge, "eth1")?;
            ports.push("to-edge-back".to_owned());
        }
        for backend in &backends {
            let port = format!("to-{}", backend.name);
            link::plug(&switch, backend_bridge, &port, backend, "eth0")?;
            ports.push(port);
        }
        addresses::assign(topology, &client, &edge, &backends)?;

        // A frame that XDP transmits arrives on a veth only if the other end runs a program, too.
        let mut programs = Vec::new();
        for port in &ports {
            programs.push(switch.run(|| xdp_pass::attach(port))?);
        }
        for node in std::iter::once(&client).chain(&backends) {
            programs.push(node.run(|| xdp_pass::attach("eth0"))?);
        }
        // In memory, where the host has such a place: the daemon waits until its state is on the disk, and on a busy disk
        // that takes longer than what the tests are about.
        let memory = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("splitter-lab-");
        let folder = if memory.is_dir() {
            builder.tempdir_in(memory)
        } else {
            builder.tempdir()
        };
        let folder = folder.context("a folder for the lab")?;
        Ok(Self {
            topology,
            client,
            edge,
            switch,
            backends,
            _port_programs: programs,
            folder,
        })
    }

    /// The namespace of a backend, by name.
    ///
    /// # Panics
    ///
    /// If there is no backend of that name.
    pub fn backend(&self, name: &str) -> &Namespace {
        let index = backend_index(name);
        self.backends.get(index).unwrap_or(&self.edge)
    }

    /// Gives the client another address on its link.
    pub fn add_client(&self, family: Family, host: u8) -> Result<std::net::IpAddr> {
        addresses::add(&self.client, family, host)
    }

    /// Address that clients dial.
    pub fn vip(&self, family: Family) -> std::net::IpAddr {
        addresses::vip(self.topology, family)
    }

    /// Address and port of a backend, by name.
    ///
    /// # Panics
    ///
    /// If there is no backend of that name.
    pub fn backend_address(&self, name: &str, family: Family) -> std::net::SocketAddr {
        addresses::backend(self.topology, family, backend_index(name))
    }

    /// A folder for files of this lab, removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where splitter's pins go; only processes in the edge host's namespaces see it.
    pub fn bpffs(&self) -> PathBuf {
        namespace::BPFFS.join("splitter")
    }

    /// Starts a command on the edge host, to be killed when the lab is dropped or its process dies.
    pub fn spawn_on_edge(&self, command: &mut Command) -> Result<Child> {
        self.edge.spawn(command)
    }

    /// Interfaces of the edge host that carry traffic of the services.
    pub fn interfaces(&self) -> &'static [&'static str] {
        if self.topology == Topology::NatElsewhere {
            &["eth0", "eth1"]
        } else {
            &["eth0"]
        }
    }

    /// Name of the mode that this topology is for.
    pub fn mode(&self) -> &'static str {
        if self.topology == Topology::Dsr {
            "dsr"
        } else {
            "nat"
        }
    }
}

fn backend_index(name: &str) -> usize {
    BACKENDS
        .iter()
        .position(|b| *b == name)
        .unwrap_or_else(|| panic!("no backend is called {name:?}"))
}
