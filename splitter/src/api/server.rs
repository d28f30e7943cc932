//! The daemon's end of the API: takes requests from the socket, hands them to the daemon's loop, answers in JSON.

mod routes;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::Request;

/// How long a client may take to send a request's head, an idle connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 64;

/// Why the socket could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("another splitter daemon (process {pid}) owns the socket {}", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
        /// Its process id; 0 when it cannot be told (another PID namespace).
        pid: i32,
    },
    /// Something that is not a socket stands there.
    #[error("{}: exists and is no socket; move it away or set another `socket`", .0.display())]
    NotASocket(PathBuf),
    /// The operating system says no.
    #[error("{}: cannot {what}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// The API's socket, bound; its file goes when this is dropped, unless another's has taken its place.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl Socket {
    /// Binds the socket (mode 0660), makes its folder if need be, and takes the place of a socket nobody listens on.
    ///
    /// It is bound under another name and renamed once its mode is right, so that at no moment can others connect.
    ///
    /// # Errors
    ///
    /// Another process listens there, or the path cannot be used.
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        let fail = |what| {
            move |source| BindError::Io {
                path: path.to_owned(),
                what,
                source,
            }
        };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let mut builder = fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o755).create(folder);
            made.map_err(fail("make its folder"))?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket(path.to_owned()));
            }
            Ok(_) => match UnixStream::connect(path).await {
                Ok(other) => {
                    let peer = other.peer_cred().ok().and_then(|peer| peer.pid());
                    return Err(BindError::InUse {
                        path: path.to_owned(),
                        pid: peer.unwrap_or_default(),
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) => return Err(fail("find out whether somebody listens")(e)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail("look at it")(e)),
        }

        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let fresh = PathBuf::from(name);
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(fail("bind the socket"))?;
        let placed = fs::set_permissions(&fresh, fs::Permissions::from_mode(0o660))
            .and_then(|()| fs::symlink_metadata(&fresh))
            .and_then(|found| fs::rename(&fresh, path).map(|()| (found.dev(), found.ino())));
        match placed {
            Ok(inode) => Ok(Self {
                listener,
                path: path.to_owned(),
                inode,
            }),
            Err(e) => {
                let _ = fs::remove_file(&fresh);
                Err(fail("put the socket in place")(e))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers requests through the daemon's loop until `stop` is over; then lets those under way end.
    pub async fn serve(self, requests: mpsc::Sender<Request>, stop: impl Future<Output = ()>) {
        let app = routes::router(requests);
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let seat = tokio::select! {
                () = &mut stop => break,
                Ok(seat) = Arc::clone(&seats).acquire_owned() => seat,
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (app, stopped) = (app.clone(), stopped.clone());
                    connections.spawn(async move {
                        converse(stream, app, stopped).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    // Out of descriptors, as a rule: accepting again at once would spin.
                    tracing::warn!(%error, "cannot accept a connection on the API's socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        let _ = stopping.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all).await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Ok(found) = fs::symlink_metadata(&self.path)
            && (found.dev(), found.ino()) == self.inode
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who asks, as far as the kernel can tell.
#[derive(Clone, Copy, Debug)]
struct Peer {
    uid: Option<u32>,
    pid: Option<i32>,
}

/// One connection, to its end.
async fn converse(stream: UnixStream, app: axum::Router, mut stopped: watch::Receiver<bool>) {
    let peer = stream.peer_cred().ok();
    let app = app.layer(Extension(Peer {
        uid: peer.as_ref().map(UCred::uid),
        pid: peer.and_then(|peer| peer.pid()),
    }));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = async { stopped.wait_for(|stop| *stop).await.is_ok() } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection on the API's socket ended early");
    }
}
