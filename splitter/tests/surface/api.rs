//! The API itself, spoken by hand.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use splitter::api::server::{BindError, Socket};
use splitter::api::types::ErrorView;

use super::fake::Fake;
use super::process::PATIENCE;

/// Sends a request; status and body of the answer.
fn speak(fake: &Fake, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = fake.connect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    // A server that has heard enough may answer and close before all is said.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if let Err(error) = read {
        let late = error.kind() == ErrorKind::WouldBlock;
        assert!(!late, "{method} {path}: no answer in {PATIENCE:?}");
    }
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

#[test]
fn every_fault_has_its_status_and_says_what_is_wrong() {
    let fake = Fake::start();
    let weights = "/v1/services/web/weights";
    let long = format!("{{\"weights\":{{\"{}\":100}}}}", "x".repeat(70_000));
    for (method, path, body, status, error) in [
        (
            "GET",
            "/v1/nothing",
            "",
            404,
            "there is no `/v1/nothing` in this API",
        ),
        (
            "GET",
            "/v1/services/nope",
            "",
            404,
            "there is no service `nope`",
        ),
        (
            "DELETE",
            "/v1/services",
            "",
            400,
            "`/v1/services` does not take DELETE",
        ),
        ("POST", weights, "{}", 400, "does not take POST"),
        (
            "PUT",
            "/v1/services/web/routes",
            "{}",
            400,
            "does not take PUT",
        ),
        (
            "POST",
            "/v1/services/web/routes",
            r#"{"clients":["10.8.0.0/16"]}"#,
            400,
            "missing field `version`",
        ),
        (
            "POST",
            "/v1/services/web/routes",
            r#"{"clients":["10.8.0.0/16"],"version":"green","ttl":5}"#,
            400,
            "unknown field `ttl`",
        ),
        ("DELETE", "/v1/services/web/routes", "", 400, "body: EOF"),
        ("GET", "/v1/services/%ff", "", 400, "path: "),
        ("PUT", weights, "", 400, "body: EOF"),
        ("PUT", weights, "{}", 400, "missing field `weights`"),
        ("PUT", weights, "[1]", 400, "body: "),
        (
            "PUT",
            weights,
            r#"{"weights":{"blue":"x"}}"#,
            400,
            "expected f64",
        ),
        (
            "PUT",
            weights,
            r#"{"weights":{"blue":100},"soon":true}"#,
            400,
            "unknown field `soon`",
        ),
        (
            "PUT",
            weights,
            r#"{"weights":{"blue":50,"blue":50}}"#,
            400,
            "version `blue` is named twice",
        ),
        (
            "PUT",
            weights,
            r#"{"weights":{"blue":100}} x"#,
            400,
            "trailing characters",
        ),
        (
            "PUT",
            weights,
            r#"{"weights":{"red":100}}"#,
            400,
            "found version \"red\"",
        ),
        ("PUT", weights, &long, 400, "body: longer than 65536 bytes"),
        (
            "PUT",
            "/v1/services/held/weights",
            r#"{"weights":{"blue":100}}"#,
            409,
            "held",
        ),
        (
            "PUT",
            "/v1/services/broken/weights",
            r#"{"weights":{"blue":100}}"#,
            500,
            "map",
        ),
        (
            "GET",
            "/v1/services/web/explain",
            "",
            400,
            "missing field `client`",
        ),
        (
            "GET",
            "/v1/services/web/explain?client=x",
            "",
            400,
            "invalid IP address",
        ),
        (
            "GET",
            "/v1/services/web/explain?client=::1&port=65536",
            "",
            400,
            "port",
        ),
        (
            "GET",
            "/v1/services/web/explain?client=::1&prot=1",
            "",
            400,
            "unknown field `prot`",
        ),
        ("GET", "/v1/services/web/flows?limit=-1", "", 400, "limit"),
        (
            "GET",
            "/v1/services/web/flows?limit=100001",
            "",
            400,
            "limit: 100001 is more",
        ),
    ] {
        let (got, text) = speak(&fake, method, path, body);
        let view: ErrorView = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{method} {path} {body}: {got} {text}: {e}"));
        assert_eq!(got, status, "{method} {path} {body}: {view:?}");
        assert!(
            view.error.contains(error),
            "{method} {path} {body}: {view:?}"
        );
    }
    let reached: Vec<String> = fake
        .asked()
        .into_iter()
        .map(|(service, _)| service)
        .collect();
    assert_eq!(
        reached,
        ["web", "held", "broken"],
        "what is malformed reaches no daemon"
    );
}

#[test]
fn healthz_is_well_while_the_daemon_answers() {
    let fake = Fake::start();
    let well = (200, r#"{"status":"ok"}"#.to_owned());
    assert_eq!(speak(&fake, "GET", "/healthz", ""), well);
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_daemon() {
    let mut fake = Fake::start();
    let found = fs::symlink_metadata(fake.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    let folder = fake.socket().parent().unwrap().to_owned();
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing else is left"
    );
    fake.stop();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

fn bind(path: &Path) -> Result<Socket, BindError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(Socket::bind(path))
}

#[test]
fn a_socket_in_use_is_left_alone_and_its_owner_named() {
    let fake = Fake::start();
    let error = bind(&fake.socket()).expect_err("in use").to_string();
    let owner = format!("another splitter daemon (process {})", std::process::id());
    assert!(error.starts_with(&owner), "{error}");
    assert_eq!(speak(&fake, "GET", "/healthz", "").0, 200);
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("splitter.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let socket = bind(&path).expect("free");
    assert_eq!(socket.path(), path);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "text").unwrap();
    let error = bind(&path).expect_err("not a socket");
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");

    let below = path.join("splitter.sock");
    let error = bind(&below).expect_err("no folder").to_string();
    assert!(error.contains("cannot make its folder"), "{error}");
}

#[test]
fn a_request_that_the_daemon_leaves_unanswered_ends() {
    let fake = Fake::start();
    let (status, text) = speak(&fake, "GET", "/v1/services/stuck", "");
    let view: ErrorView = serde_json::from_str(&text).expect("an error");
    assert_eq!((status, view.error.as_str()), (500, "no answer within 8 s"));
}

#[test]
fn clients_that_say_nothing_keep_nobody_waiting_for_ever() {
    let fake = Fake::start();
    // More than are served at a time, so that the request below waits until they are hung up on.
    let silent: Vec<_> = (0..70).map(|_| fake.connect()).collect();
    assert_eq!(speak(&fake, "GET", "/healthz", "").0, 200);
    drop(silent);
}
