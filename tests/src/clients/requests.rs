//! Short requests, each on a connection of its own, from ports that are used one after the other.
//!
//! A 5-tuple that is dialled again within `T_fin` of its end, while its slot is in transition, is by the rules a copy of
//! the old SYN and goes to the old backend. The kernel picks ports at random places, so that it happens to a few
//! connections in a hundred now and then; here it would be taken for a wrong share.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::http::{Connection, bound_to};
use super::report::{Answer, Report, print};
use crate::lab::now_ns;

/// Ports that requests are made from; the kernel's own choice on the client's host lies below.
const PORTS: RangeInclusive<u16> = 20_000..=65_000;

/// Makes so many requests a second, whether or not earlier ones were answered, until `stop` says so.
pub async fn run(
    to: SocketAddr,
    per_second: u32,
    from: Option<IpAddr>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    // After a stall the rate stays what it was: a burst would overflow queues and say nothing about splitter.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut requests = tokio::task::JoinSet::new();
    let mut ports = PORTS.cycle();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let socket = bound(to, from, &mut ports)?;
                requests.spawn(one(socket, to));
            }
            Some(done) = requests.join_next() => print(&Report::Answer(done?)),
            _ = stop.wait_for(|&stop| stop) => break,
        }
    }
    while let Some(done) = requests.join_next().await {
        print(&Report::Answer(done?));
    }
    Ok(())
}

async fn one(socket: TcpSocket, to: SocketAddr) -> Answer {
    let at = now_ns();
    let backend = exchange(socket, to)
        .await
        .map_err(|error| format!("{error:#}"));
    Answer {
        at,
        until: now_ns(),
        backend,
    }
}

async fn exchange(socket: TcpSocket, to: SocketAddr) -> Result<String> {
    let mut connection = Connection::open_from(socket, to).await?;
    connection.ask("/", "Connection: close\r\n").await?;
    connection.answer().await
}

/// A socket on the next port that is free.
fn bound(
    to: SocketAddr,
    from: Option<IpAddr>,
    ports: &mut impl Iterator<Item = u16>,
) -> Result<TcpSocket> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    for port in ports.take(PORTS.len()) {
        match bound_to(SocketAddr::new(from.unwrap_or(any), port)) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no port of {} to {} is free", PORTS.start(), PORTS.end())
}
