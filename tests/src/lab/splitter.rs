//! The real daemon and the real command line, on the edge host.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use splitter::api::types::{
    ChangeView, FlowList, RouteChange, RouteList, ServiceList, ServiceView, StatsView,
};

use super::{Config, Lab, Process, wait_for};

/// How long anything that should happen soon may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test: `SPLITTER_BIN`, or the one beside this executable.
pub fn splitter_binary() -> Result<PathBuf> {
    match std::env::var_os("SPLITTER_BIN") {
        Some(path) => Ok(std::path::absolute(path)?),
        None => sibling("splitter").context("build it, or name it in SPLITTER_BIN"),
    }
}

/// A binary that cargo put beside this executable.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    ensure!(path.exists(), "no {}", path.display());
    Ok(path)
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A daemon on the edge host of a lab, and its command line.
#[derive(Debug)]
pub struct Splitter<'lab> {
    lab: &'lab Lab,
    binary: PathBuf,
    daemon: Option<Process>,
}

impl<'lab> Splitter<'lab> {
    /// Writes the configuration, starts the daemon and waits until it serves and knows its backends.
    pub fn start(lab: &'lab Lab, config: &Config) -> Result<Self> {
        let mut splitter = Self::prepare(lab, config)?;
        splitter.run()?;
        Ok(splitter)
    }

    /// Writes the configuration only.
    pub fn prepare(lab: &'lab Lab, config: &Config) -> Result<Self> {
        let splitter = Self {
            lab,
            binary: splitter_binary()?,
            daemon: None,
        };
        splitter.write(config)?;
        Ok(splitter)
    }

    /// Writes another configuration, for the next start.
    pub fn write(&self, config: &Config) -> Result<()> {
        let text = config.to_toml(self.lab.folder(), &self.lab.bpffs());
        Ok(std::fs::write(self.config(), text)?)
    }

    /// Path of the configuration file.
    pub fn config(&self) -> PathBuf {
        self.lab.folder().join("splitter.toml")
    }

    /// Path of the API's socket.
    pub fn socket(&self) -> PathBuf {
        self.lab.folder().join("splitter.sock")
    }

    /// Path of the daemon's log.
    pub fn log_path(&self) -> PathBuf {
        self.lab.folder().join("splitter.log")
    }

    /// Starts the daemon and waits until it serves and knows its backends.
    pub fn run(&mut self) -> Result<()> {
        self.run_without_waiting()?;
        self.wait_ready()
    }

    /// Starts the daemon.
    pub fn run_without_waiting(&mut self) -> Result<()> {
        ensure!(self.daemon.is_none(), "the daemon runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        command.arg("run").arg("--config").arg(self.config());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .env("NO_COLOR", "1");
        self.daemon = Some(Process::new(self.lab.spawn_on_edge(&mut command)?));
        Ok(())
    }

    /// Waits until the daemon answers and the next hops of all backends are known.
    pub fn wait_ready(&mut self) -> Result<()> {
        let ready = wait_for(
            "the daemon to serve and to resolve its backends",
            PATIENCE,
            || {
                if let Some(daemon) = &mut self.daemon
                    && let Some(status) = daemon.child().try_wait()?
                {
                    bail!("the daemon ended: {status}");
                }
                let answer = self.command(&["get", "services", "-o", "json"])?;
                if answer.code != Some(0) {
                    return Ok(None);
                }
                let list: ServiceList =
                    serde_json::from_str(&answer.stdout).context(answer.stdout.clone())?;
                let backends = list
                    .services
                    .iter()
                    .flat_map(|s| &s.versions)
                    .flat_map(|v| &v.backends);
                Ok(backends
                    .clone()
                    .all(|b| b.next_hop != "unresolved")
                    .then_some(()))
            },
        );
        ready.with_context(|| self.log_tail())
    }

    /// The last lines of the daemon's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "the daemon's log ends with:\n{}",
            lines[lines.len().saturating_sub(30)..].join("\n")
        )
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// SIGTERM; waits for its end and fails if it was not a clean one.
    pub fn terminate(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("no daemon runs")?;
        kill(Pid::from_raw(daemon.pid() as i32), Signal::SIGTERM)?;
        let status = wait_for("the daemon to end", PATIENCE, || {
            Ok(daemon.child().try_wait()?)
        })?;
        ensure!(
            status.success(),
            "the daemon ended with {status}\n{}",
            self.log_tail()
        );
        Ok(())
    }

    /// The daemon's process id.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Process::pid)
    }

    /// Runs a command of the command line on the edge host, whatever its outcome.
    pub fn command(&self, arguments: &[&str]) -> Result<CommandOutput> {
        self.command_with(&["--socket", path_text(&self.socket())?], arguments)
    }

    /// Runs a command without the socket of this lab.
    pub fn command_with(&self, before: &[&str], arguments: &[&str]) -> Result<CommandOutput> {
        let mut command = Command::new(&self.binary);
        command.args(before).args(arguments).env("NO_COLOR", "1");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = self.lab.spawn_on_edge(&mut command)?.wait_with_output()?;
        Ok(CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that is to succeed; gives its standard output.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments)?;
        if output.code != Some(0) {
            bail!(
                "splitter {} exited with {:?}: {}{}\n{}",
                arguments.join(" "),
                output.code,
                output.stdout,
                output.stderr,
                self.log_tail()
            );
        }
        Ok(output.stdout)
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let arguments = [arguments, &["-o", "json"]].concat();
        let output = self.command(&arguments)?;
        ensure!(
            output.code == Some(0),
            "{arguments:?}: {output:?}\n{}",
            self.log_tail()
        );
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("{arguments:?} said {:?}", output.stdout))
    }

    /// `splitter get services`.
    pub fn services(&self) -> Result<ServiceList> {
        self.json(&["get", "services"])
    }

    /// `splitter get service`.
    pub fn service(&self, name: &str) -> Result<ServiceView> {
        self.json(&["get", "service", name])
    }

    /// `splitter stats`.
    pub fn stats(&self) -> Result<StatsView> {
        self.json(&["stats"])
    }

    /// `splitter flows`.
    pub fn flows(&self, service: &str) -> Result<FlowList> {
        self.json(&["flows", service])
    }

    /// `splitter route add`.
    pub fn add_route(&self, clients: &str, version: &str, more: &[&str]) -> Result<RouteChange> {
        let what = [
            "route",
            "add",
            "web",
            "--clients",
            clients,
            "--version",
            version,
        ];
        self.json(&[&what, more].concat())
    }

    /// `splitter route remove`.
    pub fn remove_route(&self, clients: &str) -> Result<RouteChange> {
        self.json(&["route", "remove", "web", "--clients", clients])
    }

    /// `splitter route list`, the prefixes alone.
    pub fn routes(&self) -> Result<Vec<String>> {
        let list: RouteList = self.json(&["route", "list", "web"])?;
        Ok(list.routes.into_iter().map(|route| route.clients).collect())
    }

    /// `splitter weight`: green's share in percent, the rest to blue.
    pub fn green(&self, service: &str, percent: f64) -> Result<ChangeView> {
        // Two decimals, computed in basis points: 100 - 33.33 is not a number of two decimals.
        let green = (percent * 100.0).round() as u32;
        let text = |basis_points: u32| format!("{}.{:02}", basis_points / 100, basis_points % 100);
        let (blue, green) = (
            format!("blue={}", text(10_000 - green)),
            format!("green={}", text(green)),
        );
        self.json(&["weight", service, &blue, &green])
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
