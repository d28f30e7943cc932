//! Everything that is printed goes through here: tables or JSON, colours or none, readers that have gone.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::Failure;
use crate::api::types::ErrorView;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs: the API's own types.
    Json,
}

/// Standard output and error of this process.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    terminal: bool,
    paint: Paint,
}

impl Output {
    /// Finds out what standard output is.
    pub(super) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self {
            format,
            terminal,
            paint: Paint(terminal && !plain && format == Format::Table),
        }
    }

    /// Whether programs read it.
    pub(super) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person looks at it.
    pub(super) fn terminal(&self) -> bool {
        self.terminal
    }

    /// The colours to use.
    pub(super) fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints text as it is.
    pub(super) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Failed(format!("cannot write: {error}")),
        })
    }

    /// Prints a view: as JSON, or as the text that `table` makes of it.
    pub(super) fn view<T: Serialize>(
        &mut self,
        view: &T,
        table: impl FnOnce(&T, Paint) -> String,
    ) -> Result<(), Failure> {
        if self.json() {
            let text = serde_json::to_string_pretty(view)
                .map_err(|e| Failure::Failed(format!("cannot write as JSON: {e}")))?;
            self.print(&(text + "\n"))
        } else {
            self.print(&table(view, self.paint))
        }
    }

    /// Prints a view as one line of JSON, for a stream of them.
    pub(super) fn json_line<T: Serialize>(&mut self, view: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(view)
            .map_err(|e| Failure::Failed(format!("cannot write as JSON: {e}")))?;
        self.print(&(text + "\n"))
    }

    /// Says on standard error what went wrong. If that is closed, there is nobody to tell.
    pub(super) fn failure(&self, failure: &Failure) {
        let Some(message) = failure.message() else {
            return;
        };
        let mut stderr = io::stderr().lock();
        let view = ErrorView {
            error: message.to_owned(),
        };
        let _ = match serde_json::to_string(&view) {
            Ok(json) if self.json() => writeln!(stderr, "{json}"),
            _ => writeln!(stderr, "error: {message}"),
        };
    }
}

/// Colours, where they are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// Headings and names.
    pub(super) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub(super) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    /// At rest, well.
    pub(super) fn good(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// Under way, or held.
    pub(super) fn busy(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
