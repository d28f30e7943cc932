//! The other end of the API: what the command line asks of a running daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request as HttpRequest};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::RequestError;
use super::types::{
    AddRoute, Caller, ChangeView, ErrorView, ExplainView, FlowList, RemoveRoute, RouteChange,
    RouteList, ServiceList, ServiceView, SetWeights, StatsView,
};

/// How long an answer may take; longer than the server allows itself, so that its own word comes first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

/// Why there is no answer, or not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("cannot reach the daemon at {}: {source}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It was reached and hung up before it had answered, as one does that is being stopped or killed.
    #[error("the daemon at {} hung up: {source}", socket.display())]
    HungUp {
        /// The socket.
        socket: PathBuf,
        /// In which way.
        source: hyper::Error,
    },
    /// It was reached and did not answer in time.
    #[error("the daemon at {} did not answer within {} s", socket.display(), ANSWER_TIMEOUT.as_secs())]
    TimedOut {
        /// The socket.
        socket: PathBuf,
    },
    /// It answered with an error.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Its answer makes no sense: another program, or another version of this one.
    #[error("the daemon at {} answered what this client does not understand: {what}", socket.display())]
    Garbled {
        /// The socket.
        socket: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// Asks a daemon through its socket, one connection per question.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the daemon at that socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// The socket that it asks at.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// All services.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; the same holds for all questions.
    pub async fn services(&self) -> Answer<ServiceList> {
        self.get("/v1/services".into()).await
    }

    /// One service.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn service(&self, name: &str) -> Answer<ServiceView> {
        self.get(format!("/v1/services/{}", escaped(name))).await
    }

    /// Sets weights, or says what setting them would do.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn set_weights(&self, service: &str, set: &SetWeights) -> Answer<ChangeView> {
        let path = format!("/v1/services/{}/weights", escaped(service));
        let body = serde_json::to_vec(set).map_err(|e| self.garbled(e))?;
        self.ask(Method::PUT, path, body).await
    }

    /// The routes of a service.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn routes(&self, service: &str) -> Answer<RouteList> {
        let path = format!("/v1/services/{}/routes", escaped(service));
        self.get(path).await
    }

    /// Adds routes, or says what adding them would do.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn add_route(&self, service: &str, route: &AddRoute) -> Answer<RouteChange> {
        let path = format!("/v1/services/{}/routes", escaped(service));
        let body = serde_json::to_vec(route).map_err(|e| self.garbled(e))?;
        self.ask(Method::POST, path, body).await
    }

    /// Removes routes, or says what removing them would do.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn remove_route(&self, service: &str, route: &RemoveRoute) -> Answer<RouteChange> {
        let path = format!("/v1/services/{}/routes", escaped(service));
        let body = serde_json::to_vec(route).map_err(|e| self.garbled(e))?;
        self.ask(Method::DELETE, path, body).await
    }

    /// Where a flow goes.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn explain(&self, service: &str, caller: Caller) -> Answer<ExplainView> {
        let (service, client) = (escaped(service), caller.client);
        let mut path = format!("/v1/services/{service}/explain?client={client}");
        let ports = [("port", caller.port), ("service_port", caller.service_port)];
        for (name, port) in ports {
            if let Some(port) = port {
                path += &format!("&{name}={port}");
            }
        }
        self.get(path).await
    }

    /// Flow records, at most so many listed.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn flows(&self, service: &str, limit: usize) -> Answer<FlowList> {
        let path = format!("/v1/services/{}/flows?limit={limit}", escaped(service));
        self.get(path).await
    }

    /// Counters.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn stats(&self) -> Answer<StatsView> {
        self.get("/v1/stats".into()).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Answer<T> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Answer<T> {
        let exchange = self.exchange(method, path, body);
        let (status, answer) = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| ClientError::TimedOut {
                socket: self.socket.clone(),
            })??;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&answer).map_err(|e| self.garbled(e));
        }
        let view: ErrorView = serde_json::from_slice(&answer)
            .map_err(|e| self.garbled(format_args!("status {status}, {e}")))?;
        Err(RequestError::from_status(status, view.error).into())
    }

    async fn exchange(&self, method: Method, path: String, body: Vec<u8>) -> Answer<(u16, Bytes)> {
        let hung_up = |source| ClientError::HungUp {
            socket: self.socket.clone(),
            source,
        };
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|source| ClientError::Unreachable {
                    socket: self.socket.clone(),
                    source,
                })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(hung_up)?;
        // It ends with the exchange; what goes wrong on it is seen by the sender.
        let connection = tokio::spawn(connection);
        let request = HttpRequest::builder()
            .method(method)
            .uri(path)
            .header("host", "splitter")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| self.garbled(e))?;
        let response = sender.send_request(request).await.map_err(hung_up)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT);
        let answer = body.collect().await.map_err(|e| self.garbled(e))?;
        connection.abort();
        Ok((status, answer.to_bytes()))
    }

    fn garbled(&self, what: impl std::fmt::Display) -> ClientError {
        ClientError::Garbled {
            socket: self.socket.clone(),
            what: what.to_string(),
        }
    }
}

/// A name as one segment of a path, whatever it is made of.
fn escaped(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => path.push(byte.into()),
            b'.' if name.bytes().any(|b| b != b'.') => path.push('.'),
            _ => path += &format!("%{byte:02X}"),
        }
    }
    path
}
