//! The API: HTTP/JSON on a Unix socket.
//!
//! [`server`] turns requests into [`Request`]s for the daemon's loop; [`client`] is the way in for the command line.

pub mod client;
pub mod server;
pub mod types;

use tokio::sync::oneshot;
use types::{
    AddRoute, Caller, ChangeView, ExplainView, FlowList, RemoveRoute, RouteChange, RouteList,
    ServiceList, ServiceView, SetWeights, StatsView,
};

/// Why the daemon could not do as asked; each maps to one HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request itself is wrong (400).
    #[error("{0}")]
    Invalid(String),
    /// It names something that does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things stand (409).
    #[error("{0}")]
    Refused(String),
    /// The daemon failed at it (500).
    #[error("{0}")]
    Failed(String),
}

impl RequestError {
    /// Its HTTP status: the one place where faults become statuses, and statuses faults again.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::NotFound(_) => 404,
            Self::Refused(_) => 409,
            Self::Failed(_) => 500,
        }
    }

    /// The fault that an HTTP status stands for.
    pub fn from_status(status: u16, error: String) -> Self {
        match status {
            404 => Self::NotFound(error),
            409 => Self::Refused(error),
            400..=499 => Self::Invalid(error),
            _ => Self::Failed(error),
        }
    }
}

/// Where the daemon's loop sends its answer.
pub type Answer<T> = oneshot::Sender<Result<T, RequestError>>;

/// What the API asks of the daemon's loop, which owns all state.
#[derive(Debug)]
pub enum Request {
    /// All services.
    Services(Answer<ServiceList>),
    /// One service.
    Service(String, Answer<ServiceView>),
    /// Change of weights. A cutover is one, too.
    Weights(String, SetWeights, Answer<ChangeView>),
    /// The routes of a service.
    Routes(String, Answer<RouteList>),
    /// Clients get a version whatever the weights.
    AddRoute(String, AddRoute, Answer<RouteChange>),
    /// Clients follow the weights again.
    RemoveRoute(String, RemoveRoute, Answer<RouteChange>),
    /// Where a flow goes.
    Explain(String, Caller, Answer<ExplainView>),
    /// Flow records of a service, at most so many listed.
    Flows(String, usize, Answer<FlowList>),
    /// Counters.
    Stats(Answer<StatsView>),
}
