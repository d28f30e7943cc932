//! Looking at a service again and again: `get service -w` and `--wait`.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::output::Output;
use super::service::{self, Arguments, Wait};
use crate::api::client::{Client, ClientError};
use crate::api::types::ServiceView;

/// Home; what follows is written over what stands there.
const HOME: &str = "\x1b[H";
/// Clears from the cursor to the end of the line.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears from the cursor to the end of the screen.
const CLEAR_REST: &str = "\x1b[J";
/// A clear screen without a cursor, on which long lines are cut instead of pushing others down.
const ENTER: &str = "\x1b[?25l\x1b[?7l\x1b[2J";
/// The terminal as it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h";

/// Why looking ended.
enum End {
    /// What was waited for is there.
    Reached,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
    /// The time given is over.
    TimedOut,
}

/// Shows the service until Ctrl-C, until it is where `--wait` wants it, or until the time is up.
pub(super) async fn run(it: &Arguments, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let redraw = it.watch && out.terminal() && !out.json();
    let mut seen = None;
    let end = look(it, client, out, redraw, &mut seen).await;
    if redraw && seen.is_some() {
        out.print(LEAVE)?;
    }
    match (end?, it.timeout) {
        (End::Reached, _) => Ok(()),
        (End::Interrupted, _) if it.wait.is_none() => Ok(()),
        (End::Interrupted, _) => Err(Failure::Failed(format!(
            "interrupted before `{}` had settled",
            it.service
        ))),
        (End::TimedOut, limit) => Err(Failure::TimedOut(format!(
            "`{}` has not settled within {}",
            it.service,
            humantime::format_duration(limit.unwrap_or_default()),
        ))),
    }
}

async fn look(
    it: &Arguments,
    client: &Client,
    out: &mut Output,
    redraw: bool,
    seen: &mut Option<ServiceView>,
) -> Result<End, Failure> {
    let mut interrupted = pin!(interrupt());
    let mut over = pin!(time_limit(it.timeout));
    loop {
        let answer = tokio::select! {
            answer = client.service(&it.service) => answer,
            () = &mut interrupted => return Ok(End::Interrupted),
            () = &mut over => return Ok(End::TimedOut),
        };
        match answer {
            Ok(view) => {
                let reached = it.wait == Some(Wait::Settled) && view.transition.is_none();
                if redraw && seen.is_none() {
                    out.print(ENTER)?;
                }
                let view = seen.insert(view);
                show(it, view, out, redraw, reached)?;
                if reached {
                    return Ok(End::Reached);
                }
            }
            // A daemon that was there is being restarted, as a rule: traffic flows on, and so does looking.
            Err(error @ (ClientError::Unreachable { .. } | ClientError::HungUp { .. }))
                if seen.is_some() =>
            {
                gone(it, seen.as_ref(), &error, out, redraw)?;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(it.interval) => {}
            () = &mut interrupted => return Ok(End::Interrupted),
            () = &mut over => return Ok(End::TimedOut),
        }
    }
}

fn show(
    it: &Arguments,
    view: &ServiceView,
    out: &mut Output,
    redraw: bool,
    reached: bool,
) -> Result<(), Failure> {
    if redraw {
        let table = service::table(view, out.paint());
        out.print(&frame(&table))
    } else if it.watch && out.json() {
        out.json_line(view)
    } else if it.watch {
        out.print(&service::line(view))
    } else if reached {
        out.view(view, service::table)
    } else {
        Ok(())
    }
}

fn gone(
    it: &Arguments,
    last: Option<&ServiceView>,
    error: &ClientError,
    out: &mut Output,
    redraw: bool,
) -> Result<(), Failure> {
    let note = format!("{error}; trying again\n");
    if redraw {
        let table = last.map(|view| service::table(view, out.paint()));
        out.print(&frame(&format!("{}\n{note}", table.unwrap_or_default())))
    } else if it.watch && !out.json() {
        out.print(&note)
    } else {
        Ok(())
    }
}

/// A text in the place of the last one, with no moment at which the screen is empty.
fn frame(text: &str) -> String {
    let lines = text.replace('\n', &format!("{CLEAR_LINE}\n"));
    format!("{HOME}{lines}{CLEAR_REST}")
}

/// Ends on Ctrl-C or SIGTERM; never, where they cannot be caught: then they end the process as they would any other.
async fn interrupt() {
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    match (signal(interrupt), signal(terminate)) {
        (Ok(mut interrupted), Ok(mut terminated)) => {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

async fn time_limit(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
