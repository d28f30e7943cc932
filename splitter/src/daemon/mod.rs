//! The daemon: one task owns all state, answers the API's requests and drives transitions.

mod error;

use std::future::Future;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

pub use error::DaemonError;

use crate::api::Request;
use crate::model::Configuration;

/// What the daemon starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The validated configuration.
    pub configuration: Configuration,
    /// Where it was read from, for messages.
    pub config_path: PathBuf,
}

/// Runs the daemon until `shutdown` completes. `ready` is told when the packet path is attached and requests are
/// answered; links and maps stay in place afterwards.
pub async fn run(
    options: Options,
    requests: mpsc::Receiver<Request>,
    ready: oneshot::Sender<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let _ = (options, requests, ready);
    shutdown.await;
    Ok(())
}
