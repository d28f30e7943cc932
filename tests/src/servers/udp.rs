//! A UDP echo that puts its name before what it got.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;

/// Binds the socket to one address, so that answers come from it and not from whatever the route suggests.
pub async fn bind(address: SocketAddr) -> Result<UdpSocket> {
    UdpSocket::bind(address)
        .await
        .with_context(|| format!("UDP {address}"))
}

/// Answers for ever.
pub async fn serve(socket: UdpSocket, name: String) -> Result<()> {
    let mut buffer = [0; 2048];
    loop {
        // An ICMP error for an earlier answer shows up here; the next datagram is unharmed.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = [name.as_bytes(), b" ", &buffer[..length]].concat();
        if let Err(error) = socket.send_to(&answer, from).await {
            eprintln!("UDP answer to {from}: {error}");
        }
    }
}
