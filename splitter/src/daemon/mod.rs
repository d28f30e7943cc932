//! The daemon: one task owns all state, answers the API's requests and drives transitions.
//!
//! [`run`] is the way in. `core` holds the state and everything that happens to it, with a clock that is handed in;
//! `start` judges a configuration against what is `pinned`, `install` writes it; `change` puts weights into force;
//! `leave` lets go of what left the file; `network` takes next hops over; `views` and `explain` answer. `store` keeps
//! what must survive, `clock` is the only one that reads the time.

mod census;
mod change;
mod clock;
mod core;
mod error;
mod explain;
mod identity;
mod install;
mod leave;
mod live;
mod network;
mod numbers;
mod pinned;
mod ranges;
mod replies;
mod routes;
mod serve;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod views;

use std::future::Future;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

pub use error::DaemonError;
pub use store::StoreError;

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
    serve::run(options, requests, ready, shutdown).await
}
