//! The paths of the API.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request as HttpRequest, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::Peer;
use crate::api::types::{AddRoute, Caller, ErrorView, RemoveRoute, SetWeights};
use crate::api::{Answer, Request, RequestError};

/// How long a request may take, its body and the daemon's answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Longest body: a thousand versions fit.
const BODY_LIMIT: usize = 64 * 1024;
/// Flow records listed where the client does not say.
const FLOWS_LISTED: usize = 100;
/// Most flow records listed.
const FLOWS_LIMIT: usize = 100_000;

type Loop = State<mpsc::Sender<Request>>;

/// All paths.
pub(super) fn router(requests: mpsc::Sender<Request>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/v1/services", get(services))
        .route("/v1/services/{name}", get(service))
        .route("/v1/services/{name}/weights", put(weights))
        .route(
            "/v1/services/{name}/routes",
            get(list_routes).post(add_route).delete(remove_route),
        )
        .route("/v1/services/{name}/explain", get(explain))
        .route("/v1/services/{name}/flows", get(flows))
        .route("/v1/stats", get(stats))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(requests)
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let view = ErrorView {
            error: self.to_string(),
        };
        (status, Json(view)).into_response()
    }
}

/// Puts a request to the daemon's loop and waits for what it says.
async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(Answer<T>) -> Request,
) -> Result<Json<T>, RequestError> {
    let gone = |()| RequestError::Failed("the daemon is stopping".into());
    let (answer, answered) = oneshot::channel();
    let sent = requests.send(request(answer)).await;
    sent.map_err(|_| gone(()))?;
    answered.await.map_err(|_| gone(()))?.map(Json)
}

async fn in_time(request: HttpRequest, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = REQUEST_TIMEOUT.as_secs();
            RequestError::Failed(format!("no answer within {seconds} s")).into_response()
        }
    }
}

async fn no_path(uri: Uri) -> RequestError {
    RequestError::NotFound(format!("there is no `{}` in this API", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> RequestError {
    RequestError::Invalid(format!("`{}` does not take {method}", uri.path()))
}

/// What `/healthz` says while the daemon's loop takes requests.
#[derive(Serialize)]
struct Health {
    status: &'static str,
}

async fn healthz(State(requests): Loop) -> Result<Json<Health>, RequestError> {
    if requests.is_closed() {
        return Err(RequestError::Failed("the daemon is stopping".into()));
    }
    Ok(Json(Health { status: "ok" }))
}

async fn services(State(requests): Loop) -> Result<impl IntoResponse, RequestError> {
    ask(&requests, Request::Services).await
}

async fn service(
    State(requests): Loop,
    name: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    ask(&requests, |answer| Request::Service(name, answer)).await
}

async fn weights(
    State(requests): Loop,
    Extension(peer): Extension<Peer>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    let set: SetWeights = said(body)?;
    // The daemon says what changes; who asks, only the socket knows.
    tracing::info!(
        service = name,
        dry_run = set.dry_run,
        uid = peer.uid,
        pid = peer.pid,
        "weights asked for",
    );
    let change = ask(&requests, |answer| Request::Weights(name, set, answer)).await;
    if let Err(error) = &change {
        tracing::info!(%error, "weights refused");
    }
    change
}

/// The body of a request.
fn said<T: serde::de::DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, RequestError> {
    let body = body.map_err(|e| {
        let status = e.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            RequestError::Invalid(format!("body: longer than {BODY_LIMIT} bytes"))
        } else {
            RequestError::Invalid(format!("body: {}", e.body_text()))
        }
    })?;
    serde_json::from_slice(&body).map_err(|e| RequestError::Invalid(format!("body: {e}")))
}

async fn list_routes(
    State(requests): Loop,
    name: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    ask(&requests, |answer| Request::Routes(name, answer)).await
}

async fn add_route(
    State(requests): Loop,
    Extension(peer): Extension<Peer>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    let route: AddRoute = said(body)?;
    let (uid, pid) = (peer.uid, peer.pid);
    tracing::info!(service = name, clients = ?route.clients, uid, pid, "a route asked for");
    ask(&requests, |answer| Request::AddRoute(name, route, answer)).await
}

async fn remove_route(
    State(requests): Loop,
    Extension(peer): Extension<Peer>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    let route: RemoveRoute = said(body)?;
    let (uid, pid) = (peer.uid, peer.pid);
    tracing::info!(service = name, clients = ?route.clients, uid, pid, "removal of a route asked for");
    ask(&requests, |answer| {
        Request::RemoveRoute(name, route, answer)
    })
    .await
}

async fn explain(
    State(requests): Loop,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<Caller>, QueryRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    let caller = queried(query)?;
    ask(&requests, |answer| Request::Explain(name, caller, answer)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowsQuery {
    limit: Option<usize>,
}

async fn flows(
    State(requests): Loop,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<FlowsQuery>, QueryRejection>,
) -> Result<impl IntoResponse, RequestError> {
    let name = named(name)?;
    let limit = queried(query)?.limit.unwrap_or(FLOWS_LISTED);
    if limit > FLOWS_LIMIT {
        return Err(RequestError::Invalid(format!(
            "limit: {limit} is more than {FLOWS_LIMIT}"
        )));
    }
    ask(&requests, |answer| Request::Flows(name, limit, answer)).await
}

async fn stats(State(requests): Loop) -> Result<impl IntoResponse, RequestError> {
    ask(&requests, Request::Stats).await
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<String, RequestError> {
    let Path(name) = name.map_err(|e| RequestError::Invalid(format!("path: {}", e.body_text())))?;
    Ok(name)
}

fn queried<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, RequestError> {
    let Query(query) =
        query.map_err(|e| RequestError::Invalid(format!("query: {}", e.body_text())))?;
    Ok(query)
}
