//! Why a command did not do what was asked: each reason has one exit code.

use std::io;
use std::process::ExitCode;

use crate::api::RequestError;
use crate::api::client::ClientError;

/// What ends a command early.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was tried and did not work, or was refused as things stand (1).
    Failed(String),
    /// What was typed, or the configuration, is wrong (2).
    Usage(String),
    /// The daemon cannot be reached (3).
    Unreachable(String),
    /// It took longer than it may (4).
    TimedOut(String),
    /// Nobody reads what is printed any more (`splitter … | head`): no fault (0).
    Unread,
}

impl Failure {
    /// There is no way to run anything asynchronous.
    pub(super) fn runtime(error: &io::Error) -> Self {
        Self::Failed(format!("cannot start: {error}"))
    }

    /// The code that the process ends with.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unread => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::TimedOut(_) => 4,
        })
    }

    /// What to say of it, if anything.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::Unreachable(text)
            | Self::TimedOut(text) => Some(text),
            Self::Unread => None,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Unreachable { .. } => {
                Self::Unreachable(text + "; is `splitter run` running?")
            }
            ClientError::HungUp { .. } => Self::Unreachable(text),
            ClientError::TimedOut { .. } => Self::TimedOut(text),
            ClientError::Request(RequestError::Invalid(_) | RequestError::NotFound(_)) => {
                Self::Usage(text)
            }
            ClientError::Request(RequestError::Refused(_) | RequestError::Failed(_))
            | ClientError::Garbled { .. } => Self::Failed(text),
        }
    }
}
