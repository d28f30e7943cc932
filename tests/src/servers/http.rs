//! An HTTP/1.1 server: `GET /` answers the server's name, `GET /stream?every=MS` sends it over and over.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::CONNECTION;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::Fault;

/// Messages on one connection after which a fault shows.
const FAULT_AFTER: u64 = 8;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a server calls itself.
struct Identity {
    name: String,
    fault: Option<Fault>,
    short_requests: AtomicU64,
}

impl Identity {
    /// The name that a message bears; an error where the fault is to reset the connection.
    fn message(&self, messages_before: u64, last_of_connection: bool) -> std::io::Result<String> {
        let late = messages_before >= FAULT_AFTER;
        let lie = match self.fault {
            Some(Fault::Moved) => late,
            Some(Fault::Reset) if late => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Share) if last_of_connection => self
                .short_requests
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(2),
            _ => false,
        };
        Ok(if lie {
            self.name.replace("blue", "green")
        } else {
            self.name.clone()
        } + "\n")
    }
}

/// Binds a listener with a queue that a burst of connections fits into.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()
    } else {
        tokio::net::TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("TCP {address}"))?;
    Ok(socket.listen(4096)?)
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, name: String, fault: Option<Fault>) -> Result<()> {
    let identity = Arc::new(Identity {
        name,
        fault,
        short_requests: AtomicU64::new(0),
    });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&identity)))),
            // Out of descriptors: those that exist go on, the client sees the rest wait.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, identity: Arc<Identity>) {
    let messages = Arc::new(AtomicU64::new(0));
    // Unread answers and a zero linger make the close that follows a fault a reset.
    if identity.fault == Some(Fault::Reset) && stream.set_zero_linger().is_err() {
        return;
    }
    let service = service_fn(|request| {
        let (identity, messages) = (Arc::clone(&identity), Arc::clone(&messages));
        async move { answer(&request, &identity, &messages) }
    });
    // Clients end connections as they please; what matters is what they see, and they report it.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(
    request: &Request<Incoming>,
    identity: &Arc<Identity>,
    messages: &AtomicU64,
) -> std::io::Result<Response<Body>> {
    match request.uri().path() {
        "/" => {
            let last = request
                .headers()
                .get(CONNECTION)
                .is_some_and(|v| v == "close");
            let message = identity.message(messages.fetch_add(1, Ordering::Relaxed), last)?;
            Ok(Response::new(
                Full::from(message).map_err(never).boxed_unsync(),
            ))
        }
        "/stream" => {
            let every = request
                .uri()
                .query()
                .and_then(|q| q.strip_prefix("every="))
                .and_then(|v| v.parse().ok());
            match every {
                Some(every) => Ok(Response::new(messages_every(
                    Duration::from_millis(every),
                    Arc::clone(identity),
                ))),
                None => Ok(refusal(StatusCode::BAD_REQUEST)),
            }
        }
        _ => Ok(refusal(StatusCode::NOT_FOUND)),
    }
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().map_err(never).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn messages_every(every: Duration, identity: Arc<Identity>) -> Body {
    let frames = stream::try_unfold((0, identity), move |(sent, identity)| async move {
        if sent > 0 {
            tokio::time::sleep(every).await;
        }
        let message = identity.message(sent, false)?;
        Ok(Some((
            Frame::data(Bytes::from(message)),
            (sent + 1, identity),
        )))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

fn never(error: Infallible) -> std::io::Error {
    match error {}
}
