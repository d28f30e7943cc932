//! What clients report, one JSON object a line.

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// Every connection is open or has failed.
    Ready,
    /// How held connections are.
    Held(HeldTotals),
    /// A held connection broke or moved.
    Fault(Fault),
    /// A short request ended.
    Answer(Answer),
    /// How datagrams fared.
    Udp(UdpTotals),
    /// A flood is over.
    Flood {
        /// Frames that were sent.
        sent: u64,
        /// How long it took.
        milliseconds: u64,
    },
}

/// How held connections are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTotals {
    /// Open ones, by the backend that answered first.
    pub open: BTreeMap<String, u64>,
    /// Messages that came.
    pub messages: u64,
    /// Connections that a second backend answered on.
    pub moved: u64,
    /// Connections that were reset, closed, refused or fell silent.
    pub broken: u64,
}

impl HeldTotals {
    /// Open connections to backends whose names begin so.
    pub fn open_to(&self, prefix: &str) -> u64 {
        self.open
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, n)| n)
            .sum()
    }
}

/// A held connection broke or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its number.
    pub connection: usize,
    /// Its own port.
    pub port: Option<u16>,
    /// The backend that answered first.
    pub first: Option<String>,
    /// Messages before.
    pub messages: u64,
    /// What happened.
    pub what: String,
}

/// A short request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// When it began, on the monotonic clock.
    pub at: u64,
    /// When the answer was complete.
    pub until: u64,
    /// Who answered, or what went wrong.
    pub backend: Result<String, String>,
}

impl Answer {
    /// Whether a backend whose name begins so answered.
    pub fn is_from(&self, prefix: &str) -> bool {
        self.backend
            .as_ref()
            .is_ok_and(|name| name.starts_with(prefix))
    }
}

/// How datagrams fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpTotals {
    /// Sent.
    pub sent: u64,
    /// Answered.
    pub answered: u64,
    /// Not answered in time.
    pub lost: u64,
    /// Answers by backend.
    pub by: BTreeMap<String, u64>,
    /// Sockets that got an answer, by the backend that answered first.
    pub sockets: BTreeMap<String, u64>,
    /// Answers from another backend than the socket's first.
    pub moved: u64,
}

/// Writes a line. Nobody to read it means that the parent is gone, and this process, too, in a moment.
pub fn print(report: &Report) {
    let mut line = serde_json::to_vec(report).expect("reports are plain data");
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
