//! Why the daemon cannot start or go on.

use std::path::PathBuf;

use super::store::StoreError;
use crate::dataplane::DataplaneError;
use crate::net::NetError;

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The kernel refused, or what is pinned does not fit.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The network stack cannot be asked.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kept state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration cannot be put into force as things stand.
    #[error("{path}: {message}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        message: String,
    },
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    /// No random numbers for the seed.
    #[error("cannot read /dev/urandom for the seed: {0}")]
    Random(std::io::Error),
}

/// What is wrong with a configuration as things stand; the caller knows the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refused(String),
    #[error("cannot read /dev/urandom for the seed: {0}")]
    Random(std::io::Error),
}

impl StartError {
    pub(super) fn in_file(self, path: PathBuf) -> DaemonError {
        match self {
            Self::Dataplane(e) => e.into(),
            Self::Store(e) => e.into(),
            Self::Refused(message) => DaemonError::Configuration { path, message },
            Self::Random(e) => DaemonError::Random(e),
        }
    }
}
