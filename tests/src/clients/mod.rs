//! Clients, each a process on the client's host that reports what happened in JSON lines.
//!
//! The parent keeps what was reported and stops a client by closing its standard input.

pub mod flood;
pub mod held;
pub mod http;
pub mod report;
pub mod requests;
pub mod udp;

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;
use flood::Forgery;
use report::{Answer, Fault, HeldTotals, Report, UdpTotals};

use crate::lab::{Addresses, Family, Lab, Namespace, Process, wait_for};

/// How long a client may take to connect, or to come to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that a client has reported.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    /// All connections have been tried.
    pub ready: bool,
    /// State of held connections.
    pub held: HeldTotals,
    /// Faults of held connections, the first ones.
    pub faults: Vec<Fault>,
    /// Short requests.
    pub answers: Vec<Answer>,
    /// Datagrams.
    pub udp: UdpTotals,
    /// Frames that a flood sent, and in how many milliseconds; none while it lasts.
    pub flood: Option<(u64, u64)>,
}

/// A client that runs.
#[derive(Debug)]
pub struct Client {
    process: Process,
    reported: Arc<Mutex<Reported>>,
    reader: Option<JoinHandle<Result<()>>>,
}

impl Client {
    fn start(host: &Namespace, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(crate::lab::sibling("splitter-lab")?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::new(host.spawn(&mut command)?);
        let stdout = process
            .child()
            .stdout
            .take()
            .context("the client's output was piped")?;
        let reported = Arc::new(Mutex::new(Reported::default()));
        let sink = Arc::clone(&reported);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                let report = serde_json::from_str(&line).with_context(|| line.clone())?;
                take(&mut lock(&sink), report);
            }
            Ok(())
        });
        Ok(Self {
            process,
            reported,
            reader: Some(reader),
        })
    }

    /// Holds connections open and exchanges a message on each every `every`; waits until all are open.
    ///
    /// Half of them ask for each message, half listen to a stream.
    pub fn hold(lab: &Lab, family: Family, connections: usize, every: Duration) -> Result<Self> {
        let client = Self::start_holding(lab, family, connections, every)?;
        wait_for("all held connections to be tried", PATIENCE, || {
            Ok(client.view().ready.then_some(()))
        })?;
        Ok(client)
    }

    /// As [`Self::hold`], without waiting.
    pub fn start_holding(
        lab: &Lab,
        family: Family,
        connections: usize,
        every: Duration,
    ) -> Result<Self> {
        let to = SocketAddr::new(lab.vip(family), Addresses::PORT);
        Self::start_holding_to(&lab.client, to, connections, every)
    }

    /// As [`Self::hold`], from any host of the lab and to any address.
    pub fn hold_to(
        host: &Namespace,
        to: SocketAddr,
        connections: usize,
        every: Duration,
    ) -> Result<Self> {
        let client = Self::start_holding_to(host, to, connections, every)?;
        wait_for("all held connections to be tried", PATIENCE, || {
            Ok(client.view().ready.then_some(()))
        })?;
        Ok(client)
    }

    fn start_holding_to(
        host: &Namespace,
        to: SocketAddr,
        connections: usize,
        every: Duration,
    ) -> Result<Self> {
        let every = every.as_millis();
        Self::start(
            host,
            &[
                "hold".to_owned(),
                format!("--to={to}"),
                format!("--connections={connections}"),
                format!("--every={every}"),
            ],
        )
    }

    /// As [`Self::hold`], from one of the client's addresses.
    pub fn hold_from(lab: &Lab, from: IpAddr, connections: usize, every: Duration) -> Result<Self> {
        let client = Self::start(
            &lab.client,
            &[
                "hold".to_owned(),
                format!(
                    "--to={}:{}",
                    bracketed(lab, family_of(from)),
                    Addresses::PORT
                ),
                format!("--connections={connections}"),
                format!("--every={}", every.as_millis()),
                format!("--from={from}"),
            ],
        )?;
        wait_for("all held connections to be tried", PATIENCE, || {
            Ok(client.view().ready.then_some(()))
        })?;
        Ok(client)
    }

    /// As [`Self::request`], from one of the client's addresses.
    pub fn request_from(lab: &Lab, from: IpAddr, per_second: u32) -> Result<Self> {
        Self::start(
            &lab.client,
            &[
                "request".to_owned(),
                format!(
                    "--to={}:{}",
                    bracketed(lab, family_of(from)),
                    Addresses::PORT
                ),
                format!("--per-second={per_second}"),
                format!("--from={from}"),
            ],
        )
    }

    /// Makes short requests, each on a connection of its own, so many a second.
    pub fn request(lab: &Lab, family: Family, per_second: u32) -> Result<Self> {
        Self::start(
            &lab.client,
            &[
                "request".to_owned(),
                format!("--to={}:{}", bracketed(lab, family), Addresses::PORT),
                format!("--per-second={per_second}"),
            ],
        )
    }

    /// Sends datagrams on so many sockets, one every `every` on each, and waits for the answer to each.
    pub fn datagrams(lab: &Lab, family: Family, sockets: usize, every: Duration) -> Result<Self> {
        Self::start(
            &lab.client,
            &[
                "udp".to_owned(),
                format!("--to={}:{}", bracketed(lab, family), Addresses::PORT),
                format!("--sockets={sockets}"),
                format!("--every={}", every.as_millis()),
            ],
        )
    }

    /// Sends so many forged frames over IPv4, from the client's link; `ports` are those that a replay forges.
    pub fn flood(
        lab: &Lab,
        forgery: Forgery,
        frames: u64,
        per_second: u64,
        ports: &[u16],
    ) -> Result<Self> {
        let mac = lab
            .edge
            .run(|| Ok(std::fs::read_to_string("/sys/class/net/eth0/address")?))?;
        let forgery = forgery.to_possible_value().context("a named forgery")?;
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        Self::start(
            &lab.client,
            &[
                "flood".to_owned(),
                format!("--forgery={}", forgery.get_name()),
                format!("--to={}:{}", lab.vip(Family::V4), Addresses::PORT),
                format!("--mac={}", mac.trim()),
                format!("--client={}", Addresses::client(Family::V4)),
                format!("--ports={}", ports.join(",")),
                format!("--frames={frames}"),
                format!("--per-second={per_second}"),
            ],
        )
    }

    /// What has been reported up to now.
    pub fn view(&self) -> MutexGuard<'_, Reported> {
        lock(&self.reported)
    }

    /// Answers to short requests that began at or after `from` and before `to` (of [`crate::lab::now_ns`]).
    pub fn answers_between(&self, from: u64, to: u64) -> Vec<Answer> {
        self.view()
            .answers
            .iter()
            .filter(|a| (from..to).contains(&a.at))
            .cloned()
            .collect()
    }

    /// Lets it end and gives all that it reported.
    pub fn finish(mut self) -> Result<Reported> {
        drop(self.process.child().stdin.take());
        let status = wait_for("a client to end", PATIENCE, || {
            Ok(self.process.child().try_wait()?)
        })?;
        let reader = self.reader.take().context("a client ends once")?;
        match reader.join() {
            Ok(result) => result?,
            Err(_) => bail!("the reader of a client's reports panicked"),
        }
        if !status.success() {
            bail!("a client ended with {status}");
        }
        let reported = lock(&self.reported).clone();
        Ok(reported)
    }
}

/// The state behind the lock is a set of plain values, sound even if a thread panicked while it held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn take(into: &mut Reported, report: Report) {
    match report {
        Report::Ready => into.ready = true,
        Report::Held(totals) => into.held = totals,
        Report::Fault(fault) => into.faults.push(fault),
        Report::Answer(answer) => into.answers.push(answer),
        Report::Udp(totals) => into.udp = totals,
        Report::Flood { sent, milliseconds } => into.flood = Some((sent, milliseconds)),
    }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    }
}

fn bracketed(lab: &Lab, family: Family) -> String {
    match lab.vip(family) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
