//! Watching and waiting.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitter::api::types::ServiceView;

use super::fake::Fake;
use super::golden;
use super::process::{command_at, eventually, run_at};

#[test]
fn a_wait_ends_once_the_service_has_settled() {
    let fake = Fake::start();
    let line = "get service ramp --wait settled --interval 10ms --timeout 1m";
    let words: Vec<&str> = line.split(' ').collect();
    let text = run_at(&fake.socket(), &words).ok();
    assert!(text.contains("every slot is at rest"), "{text}");
}

#[test]
fn a_watch_that_waits_shows_each_look() {
    let fake = Fake::start();
    let line = "get service ramp -w --wait settled --interval 10ms";
    let words: Vec<&str> = line.split(' ').collect();
    golden::check("watch_lines", &run_at(&fake.socket(), &words).ok());
}

#[test]
fn a_wait_that_takes_too_long_has_exit_code_4() {
    let fake = Fake::start();
    let line = "get service web --wait settled --interval 20ms --timeout 200ms";
    let words: Vec<&str> = line.split(' ').collect();
    let ran = run_at(&fake.socket(), &words);
    let got = (ran.code, ran.stdout.as_str(), ran.stderr.as_str());
    let error = "error: `web` has not settled within 200ms\n";
    assert_eq!(got, (Some(4), "", error));
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
    kill(pid, Signal::SIGINT).expect("it runs");
}

#[test]
fn a_watch_goes_on_through_a_restart_of_the_daemon_and_ends_well_on_ctrl_c() {
    let mut fake = Fake::start();
    let line = ["get", "service", "dns", "-w", "--interval", "10ms"];
    let mut watch = command_at(&fake.socket(), &line)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut until = |what: &str| {
        for line in lines.by_ref() {
            if line.expect("text").contains(what) {
                return;
            }
        }
        panic!("the watch ended before it said `{what}`");
    };
    until("dns | v1 set 100.00 %");
    fake.stop();
    until("cannot reach the daemon");
    fake.start_again();
    until("dns | v1 set 100.00 %");
    interrupt(&watch);
    eventually("the watch ends", || watch.try_wait().unwrap().is_some());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watch_in_json_is_a_view_a_line_and_ends_quietly_when_nobody_reads_on() {
    let fake = Fake::start();
    let line = [
        "get",
        "service",
        "web",
        "-w",
        "--interval",
        "10ms",
        "-o",
        "json",
    ];
    let mut watch = command_at(&fake.socket(), &line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    for _ in 0..3 {
        let line = lines.next().expect("a line").expect("text");
        let view: ServiceView = serde_json::from_str(&line).expect("a view");
        assert_eq!(view, super::views::web());
    }
    drop(lines);
    let output = watch.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_watch_of_a_daemon_that_was_never_there_has_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let ran = run_at(&socket, &["get", "service", "web", "-w"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
}
