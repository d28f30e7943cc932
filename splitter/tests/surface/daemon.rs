//! `splitter run` itself, in a network namespace and with a BPF file system of its own.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitter::api::types::{ServiceView, StatsView};
use tempfile::TempDir;

use super::process::{Ran, command, eventually, finish};

/// A configuration and what belongs to it; the pins go with it.
struct Host {
    folder: TempDir,
    bpf: PathBuf,
    pins: PathBuf,
}

impl Host {
    /// Moves this thread, and what it starts, into namespaces of its own, with a BPF file system that only it sees.
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("tests run as root");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .expect("private mounts");
        let folder = TempDir::new().expect("a folder");
        let bpf = folder.path().join("bpf");
        fs::create_dir(&bpf).expect("a folder");
        mount(Some("bpf"), &bpf, Some("bpf"), MsFlags::empty(), none).expect("a BPF file system");
        let pins = bpf.join("splitter");
        let text = format!(
            r#"
[daemon]
interfaces = ["lo"]
xdp_mode = "skb"
socket = "{0}/run/splitter.sock"
state_dir = "{0}/state"
bpffs = "{1}"
max_slots = 1024
flow_records = 1024

[[service]]
name = "web"
vip = "203.0.113.10"
port = 443
protocol = "tcp"
mode = "nat"
slots = 256
stable = "blue"

[[service.version]]
name = "blue"
backends = [{{ address = "192.0.2.11", port = 8001 }}]

[[service.version]]
name = "green"
backends = [{{ address = "192.0.2.12", port = 8002 }}]
"#,
            folder.path().display(),
            pins.display(),
        );
        fs::write(folder.path().join("splitter.toml"), text).expect("the file");
        Self { folder, bpf, pins }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("splitter.toml")
    }

    fn ask(&self, line: &str) -> Ran {
        let mut command = command(&[]);
        command.arg("--config").arg(self.config());
        command.args(line.split(' '));
        finish(command)
    }

    /// Starts the daemon and waits for what it tells systemd. It dies with the test's thread.
    fn start(&self) -> Daemon {
        let path = self.folder.path().join("notify");
        let _ = fs::remove_file(&path);
        let notify = UnixDatagram::bind(&path).expect("a socket");
        notify.set_nonblocking(true).expect("a socket");
        let stderr = fs::File::create(self.folder.path().join("log")).expect("a log");
        // What tells a child to die with its parent is `unsafe` to call from here.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(env!("CARGO_BIN_EXE_splitter"))
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .env("NOTIFY_SOCKET", &path)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("setpriv of util-linux");
        let mut daemon = Daemon { child, notify };
        let told = daemon.told();
        assert_eq!(told, "READY=1", "{}", self.log());
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing is left to remove if the test went well.
        self.ask("detach");
        // Lazily, since descriptors may still be open; the mount is in this thread's namespace alone.
        let _ = umount2(&self.bpf, MntFlags::MNT_DETACH);
    }
}

/// A daemon that runs; killed when dropped.
struct Daemon {
    child: Child,
    notify: UnixDatagram,
}

impl Daemon {
    /// What it tells systemd next; nothing, if it ends instead.
    fn told(&mut self) -> String {
        let mut told = None;
        eventually("the daemon tells how it fares", || {
            let ended = self.child.try_wait().expect("a child").is_some();
            let mut buffer = [0; 256];
            match self.notify.recv(&mut buffer) {
                Ok(length) => told = Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                Err(_) if ended => told = Some("nothing: it ended".to_owned()),
                Err(_) => {}
            }
            told.is_some()
        });
        told.unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("it runs");
    }

    /// Waits for its end; its status and what it printed.
    fn end(mut self) -> (ExitStatus, String) {
        let mut ended = None;
        eventually("the daemon ends", || {
            ended = self.child.try_wait().expect("a child");
            ended.is_some()
        });
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().expect("it was piped");
        stdout.read_to_string(&mut printed).expect("text");
        (ended.expect("it ended"), printed)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_daemon_says_when_it_is_ready_ends_on_sigterm_and_starts_where_it_was() {
    let host = Host::new();
    let mut daemon = host.start();
    let pid = daemon.child.id();

    let stats: StatsView = serde_json::from_str(&host.ask("stats -o json").ok()).unwrap();
    assert_eq!(stats.daemon.pid, pid);
    assert_eq!(stats.daemon.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(stats.daemon.interfaces[0].name, "lo");

    let second = host.ask("run");
    assert_eq!(
        (second.code, second.stdout.as_str()),
        (Some(1), ""),
        "{second:?}"
    );
    let owner = format!("another splitter daemon (process {pid}) owns");
    assert!(second.stderr.contains(&owner), "{second:?}");

    let refused = host.ask("detach");
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), ""),
        "{refused:?}"
    );
    assert!(
        refused.stderr.contains(&format!("process {pid}")),
        "{refused:?}"
    );
    assert!(refused.stderr.ends_with("; stop it first\n"), "{refused:?}");

    let text = host.ask("weight web blue=75 green=25").ok();
    assert!(text.contains("slots moved: 64 of 256"), "{text}");
    assert!(text.contains("established flows moved: 0"), "{text}");

    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.told(), "STOPPING=1");
    let (status, printed) = daemon.end();
    assert_eq!(status.code(), Some(0), "{}", host.log());
    assert_eq!(printed, "", "nothing but the log");
    assert_eq!(host.ask("stats").code, Some(3), "nobody is there");
    assert!(!host.folder.path().join("run/splitter.sock").exists());

    // Killed, it leaves its socket behind; the next one takes it over.
    let daemon = host.start();
    daemon.signal(Signal::SIGKILL);
    assert_eq!(daemon.end().0.code(), None);
    assert!(host.folder.path().join("run/splitter.sock").exists());
    assert_eq!(host.ask("stats").code, Some(3), "nobody is there");

    let daemon = host.start();
    let view = host.ask("get service web -o json").ok();
    let view: ServiceView = serde_json::from_str(&view).unwrap();
    let shares: Vec<f64> = view.versions.iter().map(|v| v.set_percent).collect();
    assert_eq!(shares, [75.0, 25.0], "weights set by hand stay");
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.end().0.code(), Some(0), "{}", host.log());

    let dry = host.ask("detach --dry-run").ok();
    assert!(dry.contains("would remove link xdp-lo"), "{dry}");
    let gone = host.ask("detach").ok();
    assert_eq!(
        gone,
        dry.replace("would remove", "removed")
            .replace("dry run: nothing was changed\n", "")
    );
    assert!(!host.pins.exists());
    let nothing = host.ask("detach").ok();
    assert!(nothing.starts_with("nothing is pinned in "), "{nothing}");
}
