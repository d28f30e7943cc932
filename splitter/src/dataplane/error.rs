//! Why the data plane could not be set up, read or written.

use std::io;
use std::path::PathBuf;

/// Why the data plane could not be set up, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// Another daemon owns the folder.
    #[error(
        "another splitter daemon (process {}) owns {}",
        pid.map_or_else(|| "of another PID namespace".to_owned(), |pid| pid.to_string()),
        folder.display()
    )]
    Owned {
        /// Its process id; none when it cannot be told from here.
        pid: Option<u32>,
        /// The folder in a BPF file system.
        folder: PathBuf,
    },
    /// The folder is not on a BPF file system.
    #[error(
        "{} is not on a BPF file system; mount one with `mount -t bpf bpf {}` or name a folder below one in \
         daemon.bpffs",
        folder.display(),
        mount.display()
    )]
    NotBpffs {
        /// The folder of the configuration.
        folder: PathBuf,
        /// Where one could be mounted.
        mount: PathBuf,
    },
    /// A file system call failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The object was not taken by the kernel.
    #[error("the kernel refused the packet path's program: {0}")]
    Load(String),
    /// A pinned map is of another geometry.
    #[error(
        "map {map} pinned in {} has {found}, but {expected} is wanted ({setting}): set it back, or run \
         `splitter detach` (traffic then passes to the host's stack, established flows are lost) and start again",
        folder.display()
    )]
    Geometry {
        /// Name of the map.
        map: &'static str,
        /// Folder of the maps.
        folder: PathBuf,
        /// What is there.
        found: String,
        /// What is wanted.
        expected: String,
        /// Which setting it comes from.
        setting: &'static str,
    },
    /// An interface does not exist.
    #[error("interface {0} does not exist on this host (daemon.interfaces)")]
    NoInterface(String),
    /// An interface carries someone else's program.
    #[error(
        "interface {interface} already carries another XDP program: id {id}{}; take it off \
         (`ip link set dev {interface} xdp off`, or stop what attached it) and start again",
        name.as_ref().map(|name| format!(", named {name}")).unwrap_or_default()
    )]
    OtherProgram {
        /// The interface.
        interface: String,
        /// The kernel's id of that program.
        id: u32,
        /// Its name, where it has one.
        name: Option<String>,
    },
    /// A program could not be attached.
    #[error("cannot attach the {what} program to interface {interface}: {reason}")]
    Attach {
        /// `XDP` or `TC egress`.
        what: &'static str,
        /// The interface.
        interface: String,
        /// Why not.
        reason: String,
    },
    /// The program is attached in another mode than the configuration demands.
    #[error(
        "interface {interface} carries splitter's program in {found} mode, but daemon.xdp_mode is {expected}: the \
         mode of a link cannot be changed; run `splitter detach` and start again"
    )]
    XdpMode {
        /// The interface.
        interface: String,
        /// The mode in force.
        found: &'static str,
        /// The mode demanded.
        expected: &'static str,
    },
    /// A map could not be read or written.
    #[error("cannot {what} map {map}: {reason}")]
    Map {
        /// `open`, `read` or `write`.
        what: &'static str,
        /// Name of the map.
        map: &'static str,
        /// Why not.
        reason: String,
    },
    /// The kernel cannot tell when program runs have ended.
    #[error(
        "membarrier(MEMBARRIER_CMD_GLOBAL) failed: {0}; transitions cannot be driven without it"
    )]
    Grace(io::Error),
}

impl DataplaneError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.into(),
            source,
        }
    }

    pub(super) fn map(
        what: &'static str,
        map: &'static str,
        reason: &dyn std::error::Error,
    ) -> Self {
        Self::Map {
            what,
            map,
            reason: chain(reason),
        }
    }
}

/// An error with its causes: aya's own messages often name only the outermost.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
