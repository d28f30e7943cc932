//! Where the demo draws: a table that is redrawn in place on a terminal, and lines above it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A terminal, or a file or pipe that gets plain lines.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the table that is on the screen now.
    drawn: usize,
    last: Option<Instant>,
}

impl Screen {
    /// Standard output.
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            last: None,
        }
    }

    /// Whether what it draws replaces what it drew before.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether it is time to draw again: often on a terminal, once a second in a log.
    pub(super) fn is_due(&self) -> bool {
        let pause = Duration::from_millis(if self.terminal { 200 } else { 1000 });
        self.last.is_none_or(|last| last.elapsed() >= pause)
    }

    /// Draws the table.
    pub(super) fn draw(&mut self, table: &str) {
        self.last = Some(Instant::now());
        let mut out = self.erased();
        out.push_str(table);
        self.drawn = if self.terminal {
            table.lines().count()
        } else {
            0
        };
        put(&out);
    }

    /// Says something above the table.
    pub(super) fn say(&mut self, text: &str) {
        let mut out = self.erased();
        self.drawn = 0;
        out.push_str(text);
        out.push('\n');
        put(&out);
    }

    /// What takes the table off the screen.
    fn erased(&self) -> String {
        if self.drawn == 0 {
            String::new()
        } else {
            format!("\x1b[{}A\x1b[J", self.drawn)
        }
    }
}

/// A reader that has left is no reason to fail: the exit code still tells the outcome.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
