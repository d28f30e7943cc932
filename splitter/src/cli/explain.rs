//! `splitter explain SERVICE --client IP[:PORT]`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Global;
use super::failure::Failure;
use super::format::{address, backend, count, seconds};
use super::output::{Output, Paint};
use crate::api::types::{Caller, ExplainView, RecordView};

/// What `explain` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the service.
    service: String,
    /// The client's address, and its port where flows are told apart by it; IPv6 with a port in brackets.
    #[arg(long, value_name = "IP[:PORT]", value_parser = client)]
    client: Client,
    /// The port of the service that it dials, where the service has several.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    ip: IpAddr,
    port: Option<u16>,
}

fn client(text: &str) -> Result<Client, String> {
    if let Ok(ip) = text.parse() {
        return Ok(Client { ip, port: None });
    }
    let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(Ok(ip)) = bracketed.map(str::parse::<Ipv6Addr>) {
        return Ok(Client {
            ip: ip.into(),
            port: None,
        });
    }
    match text.parse::<SocketAddr>() {
        Ok(client) if client.port() == 0 => Err("port 0 is nobody's".into()),
        Ok(SocketAddr::V6(client)) if client.scope_id() != 0 => {
            Err("expected an address without a zone".into())
        }
        Ok(client) => Ok(Client {
            ip: client.ip(),
            port: Some(client.port()),
        }),
        Err(_) => {
            Err("expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000".into())
        }
    }
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let Client { ip, port } = it.client;
    let caller = Caller {
        client: ip,
        port,
        service_port: it.port,
    };
    let view = global.client()?.explain(&it.service, caller).await?;
    out.view(&view, story)
}

fn story(view: &ExplainView, paint: Paint) -> String {
    let client = match view.port {
        Some(port) => address(view.client, port),
        None => view.client.to_string(),
    };
    let new_flow = match &view.new_flow {
        Some(owner) => backend(owner),
        None => "nowhere: its SYN is dropped, the client sends it again".into(),
    };
    let record = |record: &Option<RecordView>| record.as_ref().map_or("none".into(), memory);
    let slot = format!("{}, {}", count(view.slot), view.state);
    let route = match &view.route {
        None => "none".into(),
        Some(route) => {
            let version = route.version.as_deref().unwrap_or("leaving");
            format!("{}, {version}", route.clients)
        }
    };
    let lines = [
        ("new connection", paint.bold(new_flow)),
        ("established flow", paint.bold(backend(&view.established))),
        ("route", route),
        ("slot", slot),
        ("  without record", backend(&view.base)),
        ("  new flows", backend(&view.current)),
        ("flow record", record(&view.record)),
        ("handshake", record(&view.pending)),
    ];
    let mut text = format!("{client} to {}\n\n", paint.bold(&view.service));
    for (name, value) in lines {
        text += &format!("{name:<16}  {value}\n");
    }
    if !view.because.is_empty() {
        text += "\nbecause\n";
    }
    for reason in &view.because {
        text += &format!("  {reason}\n");
    }
    text
}

fn memory(record: &RecordView) -> String {
    let closing = if record.closing { ", closing" } else { "" };
    let (state, owner) = (&record.state, backend(&record.backend));
    format!(
        "{state}{closing}, {owner}, idle for {}",
        seconds(record.idle_seconds)
    )
}

#[cfg(test)]
mod tests {
    use super::{Client, client};

    #[test]
    fn clients_are_read_with_and_without_a_port() {
        for (text, ip, port) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("192.0.2.7:40000", "192.0.2.7", Some(40000)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]", "2001:db8::7", None),
            ("[2001:db8::7]:1", "2001:db8::7", Some(1)),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(client(text), Ok(Client { ip, port }), "{text}");
        }
        for text in [
            "",
            "localhost",
            "192.0.2.7:0",
            "192.0.2.7:65536",
            "[192.0.2.7]",
            "[fe80::1%2]:5",
        ] {
            assert!(client(text).is_err(), "{text}");
        }
    }
}
