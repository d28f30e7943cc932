//! Looking at a service again and again: `get service -w` and `--wait`.

use std::pin::pin;
use std::time::Duration;

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
/// A clear screen without a cursor.
const ENTER: &str = "\x1b[?25l\x1b[2J";
/// The cursor again.
const LEAVE: &str = "\x1b[?25h";

/// Why looking ended.
enum End {
    /// What was waited for is there.
    Reached,
    /// Ctrl-C.
    Interrupted,
    /// The time given is over.
    TimedOut,
}

/// Shows the service until Ctrl-C, until it is where `--wait` wants it, or until the time is up.
pub(super) async fn run(it: &Arguments, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let redraw = it.watch && out.terminal() && !out.json();
    if redraw {
        out.print(ENTER)?;
    }
    let end = look(it, client, out, redraw).await;
    if redraw {
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
) -> Result<End, Failure> {
    let mut interrupted = pin!(interrupt());
    let mut over = pin!(time_limit(it.timeout));
    let mut seen = None;
    loop {
        let answer = tokio::select! {
            answer = client.service(&it.service) => answer,
            () = &mut interrupted => return Ok(End::Interrupted),
            () = &mut over => return Ok(End::TimedOut),
        };
        match answer {
            Ok(view) => {
                let reached = it.wait == Some(Wait::Settled) && view.transition.is_none();
                show(it, &view, out, redraw, reached)?;
                if reached {
                    return Ok(End::Reached);
                }
                seen = Some(view);
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

/// Ends on Ctrl-C; never, where it cannot be caught: then it ends the process as it would any other.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn time_limit(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
