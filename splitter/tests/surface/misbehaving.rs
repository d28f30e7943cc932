//! What answers at the socket is not what it should be.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use tempfile::TempDir;

use super::process::{PATIENCE, Ran, eventually, run_at};

/// Asks for the counters where the other side does this with the connection.
fn ask(with: fn(UnixStream)) -> (Ran, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let other = std::thread::spawn(move || {
        let stream = listener.accept().expect("a client").0;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        with(stream);
    });
    let ran = run_at(&socket, &["stats"]);
    // It waits for ever if the command never came.
    eventually("the other side ends", || other.is_finished());
    other.join().expect("the other side ends well");
    (ran, socket)
}

fn reads_a_request(stream: &mut UnixStream) {
    let length = stream.read(&mut [0; 4096]).expect("a request");
    assert!(length > 0);
}

fn says(stream: &mut UnixStream, status: &str, body: &str) {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).expect("it listens");
}

#[test]
fn a_daemon_that_hangs_up_is_unreachable() {
    let (ran, socket) = ask(|mut stream| reads_a_request(&mut stream));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
    let error = format!("error: the daemon at {} hung up", socket.display());
    assert!(ran.stderr.starts_with(&error), "{ran:?}");
}

#[test]
fn a_daemon_that_says_nothing_is_given_up() {
    let (ran, socket) = ask(|mut stream| {
        // The end of the stream: the client has gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
    let socket = socket.display();
    let error = format!("error: the daemon at {socket} did not answer within 10 s\n");
    assert_eq!(ran.stderr, error);
}

#[test]
fn an_answer_that_makes_no_sense_is_a_failure() {
    let answers: [fn(UnixStream); 3] = [
        |mut stream| {
            reads_a_request(&mut stream);
            says(&mut stream, "200 OK", "{\"counters\":7}");
        },
        |mut stream| {
            reads_a_request(&mut stream);
            says(&mut stream, "200 OK", "<html>");
        },
        |mut stream| {
            reads_a_request(&mut stream);
            says(&mut stream, "502 Bad Gateway", "<html>");
        },
    ];
    for answer in answers {
        let (ran, socket) = ask(answer);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        let socket = socket.display();
        let error = format!("error: the daemon at {socket} answered what this client does not");
        assert!(ran.stderr.starts_with(&error), "{ran:?}");
    }
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_nobody() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("s");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let ran = run_at(&socket, &["stats"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
    assert!(ran.stderr.contains("Connection refused"), "{ran:?}");
}
