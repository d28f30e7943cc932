//! The configuration that a suite starts splitter with, as a user would write it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{BACKENDS, Family, Lab, Topology};
use crate::weights;

/// A configuration file in the making.
#[derive(Clone, Debug)]
pub struct Config {
    /// Interfaces that get the program.
    pub interfaces: Vec<String>,
    /// `seed`: the same placement and flow hash in each run.
    pub seed: u128,
    /// Lines added to `[daemon]`.
    pub daemon_extra: String,
    /// The services.
    pub services: Vec<ServiceConfig>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Name.
    pub name: String,
    /// VIP and port.
    pub vip: SocketAddr,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// `flows`, where it is written.
    pub flows: Option<&'static str>,
    /// `dsr` or `nat`.
    pub mode: &'static str,
    /// `arp` or `none`.
    pub announce: &'static str,
    /// Number of slots.
    pub slots: u32,
    /// `prepare`.
    pub prepare: String,
    /// `drain.idle`.
    pub idle: String,
    /// The versions, the stable one first.
    pub versions: Vec<VersionConfig>,
}

/// A version.
#[derive(Clone, Debug)]
pub struct VersionConfig {
    /// Name.
    pub name: String,
    /// Its backends.
    pub backends: Vec<SocketAddr>,
}

impl Config {
    /// One TCP service `web` with the versions `blue`, which is stable, and `green`, for all backends of the lab.
    pub fn web(lab: &Lab, family: Family) -> Self {
        Self {
            interfaces: lab.interfaces().iter().map(|&i| i.to_owned()).collect(),
            // Zero is refused.
            seed: u128::from(weights::seed()) + 1,
            daemon_extra: String::new(),
            services: vec![ServiceConfig::new(lab, family, "web", "tcp")],
        }
    }

    /// Adds the UDP service `echo` on the same VIP, port and backends.
    #[must_use]
    pub fn with_echo(mut self, lab: &Lab, family: Family) -> Self {
        self.services
            .push(ServiceConfig::new(lab, family, "echo", "udp"));
        self
    }

    /// Sets `prepare` and `drain.idle` of all services.
    #[must_use]
    pub fn with_timers(mut self, prepare: &str, idle: &str) -> Self {
        for service in &mut self.services {
            prepare.clone_into(&mut service.prepare);
            idle.clone_into(&mut service.idle);
        }
        self
    }

    /// The file's text.
    pub fn to_toml(&self, folder: &Path, bpffs: &Path) -> String {
        let interfaces: Vec<String> = self.interfaces.iter().map(|i| format!("{i:?}")).collect();
        let mut text = format!(
            "[daemon]\ninterfaces = [{}]\nsocket     = {:?}\nstate_dir  = {:?}\nbpffs      = {:?}\nseed       = \"{:032x}\"\n{}",
            interfaces.join(", "),
            folder.join("splitter.sock"),
            folder.join("state"),
            bpffs,
            self.seed,
            self.daemon_extra,
        );
        for service in &self.services {
            service.write(&mut text);
        }
        text
    }
}

impl ServiceConfig {
    fn new(lab: &Lab, family: Family, name: &str, protocol: &'static str) -> Self {
        let version = |version: &str| VersionConfig {
            name: version.to_owned(),
            backends: BACKENDS
                .iter()
                .filter(|b| b.starts_with(version))
                .map(|b| lab.backend_address(b, family))
                .collect(),
        };
        Self {
            name: name.to_owned(),
            vip: SocketAddr::new(lab.vip(family), super::Addresses::PORT),
            protocol,
            flows: None,
            mode: lab.mode(),
            announce: if lab.topology == Topology::Dsr {
                "arp"
            } else {
                "none"
            },
            slots: 16_384,
            prepare: "1s".to_owned(),
            idle: "5m".to_owned(),
            versions: vec![version("blue"), version("green")],
        }
    }

    fn write(&self, text: &mut String) {
        let flows = self
            .flows
            .map_or(String::new(), |flows| format!("flows    = {flows:?}\n"));
        let stable = self.versions.first().map_or("", |v| v.name.as_str());
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "\n[[service]]\nname     = {:?}\nvip      = \"{}\"\nport     = {}\nprotocol = {:?}\nmode     = {:?}\n\
             announce = {:?}\nslots    = {}\nstable   = {stable:?}\nprepare  = {:?}\n{flows}\n[service.drain]\nidle = {:?}\n",
            self.name,
            self.vip.ip(),
            self.vip.port(),
            self.protocol,
            self.mode,
            self.announce,
            self.slots,
            self.prepare,
            self.idle,
        );
        for version in &self.versions {
            let backends: Vec<String> = version.backends.iter().map(|b| self.backend(b)).collect();
            let _ = write!(
                text,
                "\n[[service.version]]\nname     = {:?}\nbackends = [{}]\n",
                version.name,
                backends.join(", ")
            );
        }
    }

    fn backend(&self, backend: &SocketAddr) -> String {
        if self.mode == "nat" {
            format!(
                "{{ address = \"{}\", port = {} }}",
                backend.ip(),
                backend.port()
            )
        } else {
            format!("{{ address = \"{}\" }}", backend.ip())
        }
    }
}
