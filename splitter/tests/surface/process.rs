//! The real binary, run.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longer than anything here may take, however busy the machine is.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// Its output, if it did well.
    pub(super) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }
}

/// The command with these arguments; it sees nothing of the environment that the tests run in.
pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitter"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// The command, asking the daemon at `socket`.
pub(super) fn command_at(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = command(&[]);
    command.arg("--socket").arg(socket).args(arguments);
    command
}

/// Runs it to its end.
pub(super) fn finish(mut command: Command) -> Ran {
    let (done, output) = mpsc::channel();
    let what = format!("{command:?}");
    std::thread::spawn(move || done.send(command.output()));
    let output = output.recv_timeout(PATIENCE);
    let output: Output = output
        .unwrap_or_else(|_| panic!("{what} does not end"))
        .expect("the binary runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs the command with these arguments.
pub(super) fn run(arguments: &[&str]) -> Ran {
    finish(command(arguments))
}

/// Runs the command with these arguments, asking the daemon at `socket`.
pub(super) fn run_at(socket: &Path, arguments: &[&str]) -> Ran {
    finish(command_at(socket, arguments))
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
