//! Short requests, each on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::http::Connection;
use super::report::{Answer, Report, print};
use crate::lab::now_ns;

/// Makes so many requests a second, whether or not earlier ones were answered, until `stop` says so.
pub async fn run(to: SocketAddr, per_second: u32, mut stop: watch::Receiver<bool>) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    // After a stall the rate stays what it was: a burst would overflow queues and say nothing about splitter.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut requests = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = tick.tick() => drop(requests.spawn(one(to))),
            Some(done) = requests.join_next() => print(&Report::Answer(done?)),
            _ = stop.wait_for(|&stop| stop) => break,
        }
    }
    while let Some(done) = requests.join_next().await {
        print(&Report::Answer(done?));
    }
    Ok(())
}

async fn one(to: SocketAddr) -> Answer {
    let at = now_ns();
    let backend = exchange(to).await.map_err(|error| format!("{error:#}"));
    Answer {
        at,
        until: now_ns(),
        backend,
    }
}

async fn exchange(to: SocketAddr) -> Result<String> {
    let mut connection = Connection::open(to).await?;
    connection.ask("/", "Connection: close\r\n").await?;
    connection.answer().await
}
