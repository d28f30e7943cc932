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
    while let Some(task) = tasks.join_next().await {
        task??;
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
    while !*stop.borrow() {
        number += 1;
        lock(&totals).sent += 1;
        let sent = socket.send(number.to_string().as_bytes()).await;
        let answer = match sent {
            Ok(_) => tokio::time::timeout(LIMIT, answer_to(number, &socket, &mut buffer))
                .await
                .ok(),
            // An ICMP error about an earlier datagram.
            Err(_) => None,
        };
        {
            let mut totals = lock(&totals);
            match answer {
                Some(Ok(name)) => {
                    totals.answered += 1;
                    *totals.by.entry(name).or_default() += 1;
                }
                _ => totals.lost += 1,
            }
        }
        tokio::time::sleep(every).await;
    }
    Ok(())
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
