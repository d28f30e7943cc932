//! The processes of a lab: servers and clients. Started by the suites; nothing to be run by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use splitter_tests::servers::Fault;
use splitter_tests::{clients, servers};
use tokio::sync::watch;

/// A server or a client of a lab.
#[derive(Parser)]
enum Role {
    /// Serves HTTP and UDP echo until killed.
    Serve {
        /// What it calls itself.
        #[arg(long)]
        name: String,
        /// Addresses to listen on.
        #[arg(long)]
        listen: Vec<SocketAddr>,
        /// Misbehave.
        #[arg(long)]
        fault: Option<Fault>,
    },
    /// Holds connections until its standard input ends.
    Hold {
        /// Whom to connect to.
        #[arg(long)]
        to: SocketAddr,
        /// How many.
        #[arg(long)]
        connections: usize,
        /// Milliseconds between messages.
        #[arg(long)]
        every: u64,
        /// The client's address, where it has several.
        #[arg(long)]
        from: Option<IpAddr>,
    },
    /// Makes short requests until its standard input ends.
    Request {
        /// Whom to ask.
        #[arg(long)]
        to: SocketAddr,
        /// Requests a second.
        #[arg(long)]
        per_second: u32,
        /// The client's address, where it has several.
        #[arg(long)]
        from: Option<IpAddr>,
    },
    /// Sends forged frames.
    Flood {
        /// What is forged.
        #[arg(long)]
        forgery: clients::flood::Forgery,
        /// Where to.
        #[arg(long)]
        to: SocketAddrV4,
        /// MAC of the host that steers.
        #[arg(long)]
        mac: String,
        /// Whose 5-tuples a replay repeats.
        #[arg(long)]
        client: Ipv4Addr,
        /// Their ports.
        #[arg(long, value_delimiter = ',')]
        ports: Vec<String>,
        /// How many.
        #[arg(long)]
        frames: u64,
        /// Frames a second at most.
        #[arg(long)]
        per_second: u64,
    },
    /// Sends datagrams until its standard input ends.
    Udp {
        /// Whom to send to.
        #[arg(long)]
        to: SocketAddr,
        /// Sockets, each with a port of its own.
        #[arg(long)]
        sockets: usize,
        /// Milliseconds between datagrams of a socket.
        #[arg(long)]
        every: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    raise_descriptor_limit()?;
    match Role::parse() {
        Role::Serve {
            name,
            listen,
            fault,
        } => serve(name, &listen, fault).await,
        Role::Hold {
            to,
            connections,
            every,
            from,
        } => {
            let every = Duration::from_millis(every);
            clients::held::run(to, connections, every, from, stop()).await
        }
        Role::Request {
            to,
            per_second,
            from,
        } => clients::requests::run(to, per_second, from, stop()).await,
        Role::Flood {
            forgery,
            to,
            mac,
            client,
            ports,
            frames,
            per_second,
        } => clients::flood::run(&clients::flood::Flood {
            forgery,
            to,
            mac: mac_of(&mac)?,
            client,
            ports: ports.iter().filter_map(|port| port.parse().ok()).collect(),
            frames,
            per_second,
        }),
        Role::Udp { to, sockets, every } => {
            clients::udp::run(to, sockets, Duration::from_millis(every), stop()).await
        }
    }
}

async fn serve(name: String, listen: &[SocketAddr], fault: Option<Fault>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for &address in listen {
        tasks.spawn(servers::http::serve(
            servers::http::bind(address)?,
            name.clone(),
            fault,
        ));
        tasks.spawn(servers::udp::serve(
            servers::udp::bind(address).await?,
            name.clone(),
        ));
    }
    println!("listening");
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

fn mac_of(text: &str) -> Result<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()?;
    bytes.try_into().ok().context("a MAC has six bytes")
}

/// Becomes true when standard input ends.
fn stop() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    std::thread::spawn(move || {
        // An error ends the input as well as its end does.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(true);
    });
    receiver
}

/// A thousand connections need as many descriptors.
fn raise_descriptor_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
