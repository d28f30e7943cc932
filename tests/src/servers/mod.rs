//! Servers that name themselves in everything they say, each a process on its backend's host.

pub mod http;
pub mod udp;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::lab::{Addresses, BACKENDS, Family, Lab, Process, Topology};

/// How servers misbehave, to prove that suites and demo would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Blue servers name green in the middle of a held connection, as if it had been moved.
    Moved,
    /// Blue servers reset held connections after some messages.
    Reset,
    /// Blue servers answer every second short request in the name of green.
    Share,
}

/// The servers of a lab; they end when this is dropped.
#[derive(Debug)]
pub struct Servers(Vec<Process>);

impl Servers {
    /// Starts an HTTP server and a UDP echo for each backend, both families, and waits until all listen.
    pub fn start(lab: &Lab, fault: Option<Fault>) -> Result<Self> {
        let binary = crate::lab::sibling("splitter-lab")?;
        let mut started = Vec::new();
        for name in BACKENDS {
            let mut command = Command::new(&binary);
            command.arg("serve").arg("--name").arg(name);
            for family in [Family::V4, Family::V6] {
                let mut address = lab.backend_address(name, family);
                if lab.topology == Topology::Dsr {
                    address = std::net::SocketAddr::new(lab.vip(family), Addresses::PORT);
                }
                command.arg("--listen").arg(address.to_string());
            }
            if let Some(fault) = fault.filter(|_| name.starts_with("blue")) {
                let value =
                    clap::ValueEnum::to_possible_value(&fault).context("a fault without a name")?;
                command.arg("--fault").arg(value.get_name());
            }
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            let mut process = Process::new(lab.backend(name).spawn(&mut command)?);
            let mut line = String::new();
            let stdout = process
                .child()
                .stdout
                .take()
                .context("the server's output was piped")?;
            BufReader::new(stdout).read_line(&mut line)?;
            ensure!(
                line.trim() == "listening",
                "{name} does not listen but says {line:?}"
            );
            started.push(process);
        }
        Ok(Self(started))
    }

    /// Process ids, in the order of [`BACKENDS`].
    pub fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Process::pid).collect()
    }
}
