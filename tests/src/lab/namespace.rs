//! Anonymous namespaces: made by threads, held by descriptors, gone with the process.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// Where the edge host's BPF file system is mounted, in its own mount namespace.
pub(super) const BPFFS: BpfFs = BpfFs("/sys/fs/bpf");

/// A mount point.
pub(super) struct BpfFs(&'static str);

impl BpfFs {
    /// A path below it.
    pub(super) fn join(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.0).join(name)
    }
}

/// A host of the lab.
#[derive(Debug)]
pub struct Namespace {
    /// Its name in the topology.
    pub name: &'static str,
    net: OwnedFd,
    /// Only where file systems of its own are needed.
    mount: Option<OwnedFd>,
}

impl Namespace {
    /// Makes a network namespace.
    pub fn new(name: &'static str) -> Result<Self> {
        let net = in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
            Ok(OwnedFd::from(File::open("/proc/thread-self/ns/net")?))
        })?;
        Ok(Self {
            name,
            net,
            mount: None,
        })
    }

    /// Makes a network namespace with a `/sys` of its own that has a BPF file system, as a whole host has.
    pub fn with_file_systems(name: &'static str) -> Result<Self> {
        let plain = Self::new(name)?;
        let mount = plain.run(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace needs root")?;
            // Without this the mounts below would show on the host.
            mount_fs(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
            mount_fs(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty())?;
            mount_fs(Some("bpf"), BPFFS.0, Some("bpf"), MsFlags::empty())?;
            Ok(OwnedFd::from(File::open("/proc/thread-self/ns/mnt")?))
        })?;
        Ok(Self {
            mount: Some(mount),
            ..plain
        })
    }

    /// Descriptor of the network namespace.
    pub fn net(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }

    /// Runs something on this host, in a thread of its own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_thread(|| {
            setns(&self.net, CloneFlags::CLONE_NEWNET)?;
            if let Some(mount) = &self.mount {
                // Threads share root and working folder, which forbids to enter a mount namespace.
                unshare(CloneFlags::CLONE_FS)?;
                setns(mount, CloneFlags::CLONE_NEWNS)?;
            }
            work()
        })
        .with_context(|| format!("on {}", self.name))
    }

    /// Runs a future on this host, with a runtime of its own.
    pub fn run_async<T: Send, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce() -> F + Send,
    ) -> Result<T> {
        self.run(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(work())
        })
    }

    /// Sets a kernel parameter, by its path under `/proc/sys`.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        self.run(|| {
            std::fs::write(Path::new("/proc/sys").join(path), value)
                .with_context(|| format!("{path} = {value}"))
        })
    }

    /// Starts a command on this host. It dies with the thread that started it.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let net = self.net.as_raw_fd();
        let mount = self.mount.as_ref().map(AsRawFd::as_raw_fd);
        // SAFETY: `enter` only makes system calls, which is all that may be done between fork and exec.
        unsafe { command.pre_exec(move || enter(net, mount)) };
        die_with_this_thread(command);
        command
            .spawn()
            .with_context(|| format!("could not start {command:?} on {}", self.name))
    }
}

/// Lets the command's process die with the thread that starts it.
pub fn die_with_this_thread(command: &mut Command) {
    let ask = || {
        // SAFETY: this form of `prctl` takes a number and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: it only makes a system call, which is all that may be done between fork and exec.
    unsafe { command.pre_exec(ask) };
}

/// In the child, before it executes: enter the namespaces.
fn enter(net: RawFd, mount: Option<RawFd>) -> std::io::Result<()> {
    // SAFETY: the descriptors are inherited from the parent, which keeps them open while the child is made.
    let borrow = |fd| unsafe { BorrowedFd::borrow_raw(fd) };
    setns(borrow(net), CloneFlags::CLONE_NEWNET)?;
    if let Some(mount) = mount {
        setns(borrow(mount), CloneFlags::CLONE_NEWNS)?;
    }
    Ok(())
}

fn mount_fs(source: Option<&str>, at: &str, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    mount(source, at, kind, flags, None::<&str>)
        .with_context(|| format!("mounting {} at {at}", kind.unwrap_or("private")))
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A child process that is killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Takes charge of a child.
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    /// The child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it with SIGKILL and waits for it.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
