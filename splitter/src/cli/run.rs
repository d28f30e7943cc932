//! `splitter run`: brings up the daemon, its API and what systemd wants to know.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::notify::notify;
use super::{Global, check};
use crate::api::server::Socket;
use crate::daemon::{self, DaemonError};

/// Requests that wait for the daemon's loop; more wait at the socket.
const QUEUE: usize = 64;

/// What `run` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The log goes to standard error; SPLITTER_LOG sets what is logged (info by default), \
such as SPLITTER_LOG=debug. SIGTERM and SIGINT end the daemon; traffic goes on being steered, \
until `splitter detach`.")]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments, global: &Global) -> Result<(), Failure> {
    let mut configuration = check::load(global.config(), true)?;
    if let Some(socket) = &global.socket {
        configuration.daemon.socket.clone_from(socket);
    }
    let options = daemon::Options {
        configuration,
        config_path: global.config().to_owned(),
    };
    log_to_stderr()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|e| Failure::runtime(&e))?;
    runtime.block_on(serve(options))
}

fn log_to_stderr() -> Result<(), Failure> {
    let filter = match std::env::var("SPLITTER_LOG") {
        Ok(directives) => EnvFilter::try_new(&directives)
            .map_err(|e| Failure::Usage(format!("SPLITTER_LOG: {e}")))?,
        Err(_) => EnvFilter::new("info"),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && !plain);
    // The journal keeps times of its own.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
    Ok(())
}

async fn serve(options: daemon::Options) -> Result<(), Failure> {
    // Before anything is attached, so that a signal in between does not go unheard.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| Failure::runtime(&e))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| Failure::runtime(&e))?;
    let socket = Socket::bind(&options.configuration.daemon.socket).await;
    let socket = socket.map_err(|e| Failure::Failed(e.to_string()))?;
    let path = socket.path().to_owned();

    let (requests, queue) = mpsc::channel(QUEUE);
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(socket.serve(requests, async {
        let _ = stopped.await;
    }));
    // The loop outlives the API, so that requests under way get their answers.
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        tell("STOPPING=1");
        let _ = stop.send(());
        let _ = server.await;
    };
    let announce = async {
        if is_ready.await.is_ok() {
            tracing::info!(socket = %path.display(), "ready");
            tell("READY=1");
        }
    };
    let (ended, ()) = tokio::join!(daemon::run(options, queue, ready, shutdown), announce);
    ended.map_err(|error| match error {
        DaemonError::Configuration { .. } => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.to_string()),
    })
}

fn tell(state: &str) {
    if let Err(error) = notify(state) {
        tracing::warn!(%error, state, "cannot tell systemd");
    }
}
