//! Connections that are held open: each must be answered by one backend from its first message to its last.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use super::http::{Connection, bound_to};
use super::lock;
use super::report::{Fault, HeldTotals, Report, print};

/// Connections opened in a second: what a busy machine answers without a queue that overflows.
const OPENED_A_SECOND: u64 = 400;

/// One connection's story.
#[derive(Default)]
struct Story {
    first: Option<String>,
    port: Option<u16>,
    messages: u64,
}

/// Holds `connections` until `stop` says so; reports every 200 ms.
pub async fn run(
    to: SocketAddr,
    connections: usize,
    every: Duration,
    from: Option<IpAddr>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let totals = Arc::new(Mutex::new(HeldTotals::default()));
    let tried = Arc::new(tokio::sync::Semaphore::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..connections {
        let (totals, tried, mut stop) = (Arc::clone(&totals), Arc::clone(&tried), stop.clone());
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(
                number as u64 * 1000 / OPENED_A_SECOND,
            ))
            .await;
            let mut story = Story::default();
            let how = (number, every, from);
            let talk = talk(to, how, &totals, &mut story, &tried);
            let result = tokio::select! {
                result = talk => result,
                _ = stop.wait_for(|&stop| stop) => Ok(()),
            };
            conclude(number, &story, result, &totals);
            if story.first.is_none() {
                tried.add_permits(1);
            }
        });
    }
    let reporter = tokio::spawn({
        let totals = Arc::clone(&totals);
        async move {
            let mut ready = false;
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                print(&Report::Held(lock(&totals).clone()));
                if !ready && tried.available_permits() == connections {
                    ready = true;
                    print(&Report::Ready);
                }
            }
        }
    });
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    // All may have failed before they were told to end; the parent still wants to be the one who says so.
    let mut stop = stop;
    let _ = stop.wait_for(|&stop| stop).await;
    reporter.abort();
    print(&Report::Held(lock(&totals).clone()));
    Ok(())
}

async fn talk(
    to: SocketAddr,
    (number, every, from): (usize, Duration, Option<IpAddr>),
    totals: &Mutex<HeldTotals>,
    story: &mut Story,
    tried: &tokio::sync::Semaphore,
) -> Result<()> {
    let mut connection = match from {
        Some(from) => Connection::open_from(bound_to(SocketAddr::new(from, 0))?, to).await?,
        None => Connection::open(to).await?,
    };
    story.port = connection.port();
    let streams = number % 2 == 1;
    if streams {
        connection
            .ask(&format!("/stream?every={}", every.as_millis()), "")
            .await?;
        connection.begin_stream().await?;
    }
    loop {
        let name = if streams {
            connection.chunk().await?
        } else {
            connection.ask("/", "").await?;
            connection.answer().await?
        };
        let is_first = story.first.is_none();
        record(name, story, &mut lock(totals))?;
        if is_first {
            tried.add_permits(1);
        }
        if !streams {
            tokio::time::sleep(every).await;
        }
    }
}

/// Takes note of a message; an error if it does not come from the backend that answered first.
fn record(name: String, story: &mut Story, totals: &mut HeldTotals) -> Result<()> {
    match &story.first {
        None => {
            *totals.open.entry(name.clone()).or_default() += 1;
            story.first = Some(name);
        }
        Some(first) if *first != name => anyhow::bail!("moved to {name}"),
        Some(_) => {}
    }
    story.messages += 1;
    totals.messages += 1;
    Ok(())
}

fn conclude(number: usize, story: &Story, result: Result<()>, totals: &Mutex<HeldTotals>) {
    let Err(error) = result else { return };
    let what = format!("{error:#}");
    let mut totals = lock(totals);
    if let Some(open) = story
        .first
        .as_ref()
        .and_then(|first| totals.open.get_mut(first))
    {
        *open -= 1;
    }
    if what.starts_with("moved") {
        totals.moved += 1;
    } else {
        totals.broken += 1;
    }
    // The first ones tell the story; a thousand more would only bury it.
    if totals.moved + totals.broken <= 20 {
        let first = story.first.clone();
        print(&Report::Fault(Fault {
            connection: number,
            port: story.port,
            first,
            messages: story.messages,
            what,
        }));
    }
}
