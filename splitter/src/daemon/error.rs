//! Why the daemon cannot start or go on.

use std::path::PathBuf;

use crate::dataplane::DataplaneError;

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The kernel refused, or what is pinned does not fit.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The configuration cannot be put into force as things stand.
    #[error("{path}: {message}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        message: String,
    },
}
