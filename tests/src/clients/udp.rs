//! Datagrams, each of which is to be answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::lock;
use super::report::{Report, UdpTotals, print};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// After so long without one the datagram is sent again: a socket is never silent for much longer.
const AGAIN: Duration = Duration::from_secs(1);
/// Time between two reports.
const REPORT: Duration = Duration::from_millis(200);

/// Sends on so many sockets, one datagram every `every` on each, until `stop` says so.
pub async fn run(
    to: SocketAddr,
    sockets: usize,
    every: Duration,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let totals = Arc::new(Mutex::new(UdpTotals::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..sockets {
        let any: IpAddr = if to.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect(to).await?;
        tasks.spawn(talk(socket, every, Arc::clone(&totals), stop.clone()));
    }
    let mut report = tokio::time::interval(REPORT);
    loop {
        tokio::select! {
            task = tasks.join_next() => match task {
                Some(ended) => ended??,
                None => break,
            },
            _ = report.tick() => print(&Report::Udp(lock(&totals).clone())),
        }
    }
    print(&Report::Udp(lock(&totals).clone()));
    Ok(())
}

async fn talk(
    socket: UdpSocket,
    every: Duration,
    totals: Arc<Mutex<UdpTotals>>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut buffer = [0; 256];
    let mut number: u64 = 0;
    let mut first: Option<String> = None;
    while !*stop.borrow() {
        number += 1;
        lock(&totals).sent += 1;
        let answer = tokio::time::timeout(LIMIT, ask(number, &socket, &mut buffer)).await;
        {
            let mut totals = lock(&totals);
            match answer {
                Ok(name) => {
                    totals.answered += 1;
                    match &first {
                        None => {
                            *totals.sockets.entry(name.clone()).or_default() += 1;
                            first = Some(name.clone());
                        }
                        Some(first) => totals.moved += u64::from(*first != name),
                    }
                    *totals.by.entry(name).or_default() += 1;
                }
                Err(_) => totals.lost += 1,
            }
        }
        tokio::time::sleep(every).await;
    }
    Ok(())
}

/// Sends the datagram until it is answered; gives the name in the answer.
async fn ask(number: u64, socket: &UdpSocket, buffer: &mut [u8]) -> String {
    loop {
        // An error here, or in the answer, is an ICMP error about an earlier datagram.
        if socket.send(number.to_string().as_bytes()).await.is_ok()
            && let Ok(Ok(name)) =
                tokio::time::timeout(AGAIN, answer_to(number, socket, buffer)).await
        {
            return name;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The name in the answer to that datagram; answers to earlier ones that came late are passed over.
async fn answer_to(number: u64, socket: &UdpSocket, buffer: &mut [u8]) -> Result<String> {
    loop {
        let length = socket.recv(buffer).await?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        if let Some((name, echoed)) = text.split_once(' ')
            && echoed == number.to_string()
        {
            return Ok(name.to_owned());
        }
    }
}
