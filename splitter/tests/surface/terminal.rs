//! On a terminal, and when nobody reads.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fake::Fake;
use super::process::{command, command_at, eventually, finish};

/// Starts a command whose standard output is a terminal; the file is the terminal's other side.
fn on_terminal(mut command: Command) -> (Child, File) {
    let pty = openpty(None, None).expect("a pseudo-terminal");
    let child = command
        .stdout(Stdio::from(pty.slave))
        .spawn()
        .expect("the binary runs");
    // The command holds the terminal's end open until it is dropped, too.
    drop(command);
    (child, File::from(pty.master))
}

/// All that appears on the terminal; its end is an error on Linux (EIO).
fn all(mut terminal: File) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(text).expect("text").replace("\r\n", "\n")
}

fn shown(command: Command) -> String {
    let (mut child, terminal) = on_terminal(command);
    let text = all(terminal);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    text
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let fake = Fake::start();
    let services = || command_at(&fake.socket(), &["get", "services"]);
    let piped = finish(services()).ok();
    assert!(!piped.contains('\x1b'), "{piped}");

    let coloured = shown(services());
    assert!(coloured.contains("\x1b[1mweb\x1b[0m"), "{coloured:?}");
    super::golden::check("terminal_get_services", &coloured);

    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut plain = services();
        plain.env(name, value);
        assert_eq!(shown(plain), piped, "{name}");
    }
    let mut empty = services();
    empty.env("NO_COLOR", "");
    assert_eq!(shown(empty), coloured, "an empty NO_COLOR says nothing");

    let mut json = services();
    json.args(["-o", "json"]);
    assert!(!shown(json).contains('\x1b'));
}

#[test]
fn a_watch_redraws_in_place_and_leaves_the_terminal_as_it_was() {
    let fake = Fake::start();
    let line = ["get", "service", "web", "-w", "--interval", "10ms"];
    let (mut watch, mut terminal) = on_terminal(command_at(&fake.socket(), &line));
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while seen.matches("\x1b[H").count() < 3 {
        let length = terminal.read(&mut buffer).expect("it goes on");
        seen += &String::from_utf8_lossy(&buffer[..length]);
    }
    let pid = Pid::from_raw(watch.id().try_into().expect("a process id"));
    kill(pid, Signal::SIGINT).expect("it runs");
    seen += &all(terminal);
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));

    assert!(
        seen.starts_with("\x1b[?25l\x1b[?7l\x1b[2J\x1b[H"),
        "{seen:?}"
    );
    assert!(seen.ends_with("\x1b[?7h\x1b[?25h"), "{seen:?}");
    assert_eq!(seen.matches("\x1b[2J").count(), 1, "cleared once only");
    let frames = seen.matches("\x1b[H").count();
    assert_eq!(seen.matches("\x1b[J").count(), frames, "each frame whole");
}

#[test]
fn a_watch_that_sees_nothing_leaves_the_screen_alone() {
    let fake = Fake::start();
    let line = ["get", "service", "nope", "-w"];
    let (mut watch, terminal) = on_terminal(command_at(&fake.socket(), &line));
    assert_eq!(all(terminal), "");
    assert_eq!(watch.wait().expect("it ends").code(), Some(2));
}

#[test]
fn nobody_reading_is_no_fault() {
    let fake = Fake::start();
    let words = [
        "get services",
        "stats",
        "flows web",
        "completion bash",
        "man",
        "--help",
    ];
    for line in words {
        let words: Vec<&str> = line.split(' ').collect();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = match line {
            "--help" => command(&words),
            _ => command_at(&fake.socket(), &words),
        };
        command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        drop(command);
        eventually(line, || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().expect("it ended");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*error), (Some(0), ""), "{line}");
    }
}

#[test]
fn a_full_disk_is_a_fault() {
    let fake = Fake::start();
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut command = command_at(&fake.socket(), &["stats"]);
    command.stdout(full).stderr(Stdio::piped());
    let output = command
        .spawn()
        .expect("the binary runs")
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: cannot write: "), "{error}");
}
