//! Replies in `nat` mode: a reply is told by its source alone, so a backend can be of one service at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use splitter_common::abi::{Mode, Reply, ReplyKey};

use super::error::StartError;
use super::identity::{BackendId, protocol_number};
use super::live::Live;
use super::numbers::{Number, backends_of};
use crate::model::{Configuration, Service};

/// The ways back from a backend, one for each port that it answers on.
pub(super) fn replies_from(live: &Live, id: BackendId) -> Vec<(ReplyKey, Reply)> {
    let back = |from, to| {
        let key = ReplyKey {
            address: id.address,
            port: from,
            protocol: live.row.protocol,
            reserved: 0,
        };
        let reply = Reply {
            vip: live.row.vip,
            port: to,
            reserved: 0,
        };
        (key, reply)
    };
    match id.port {
        0 => live
            .service
            .ports
            .iter()
            .map(|port| back(port, port))
            .collect(),
        // One that left a service which has several ports since then: its flows are of the port before.
        port => vec![back(
            port,
            live.service.ports.only().unwrap_or(live.row.port),
        )],
    }
}

fn address(service: &Service, id: BackendId) -> String {
    match id.port_in(service) {
        0 => id.ip().to_string(),
        port => SocketAddr::new(id.ip(), port).to_string(),
    }
}

/// What the replies of a service's backends become: of those that left the configuration, too, while they live.
pub(super) fn replies_of(live: &Live) -> Vec<(ReplyKey, Reply)> {
    if live.row.mode != Mode::Nat as u8 {
        return Vec::new();
    }
    live.numbers
        .iter()
        .filter(|(_, meaning)| meaning.is_alive())
        .filter_map(|(_, meaning)| meaning.id())
        .flat_map(|id| replies_from(live, id))
        .collect()
}

/// Refuses a backend of two services.
pub(super) fn refuse_shared(configuration: &Configuration) -> Result<(), StartError> {
    let mut owners: BTreeMap<_, &Service> = BTreeMap::new();
    for service in configuration
        .services
        .iter()
        .filter(|s| s.mode == Mode::Nat)
    {
        let answering = backends_of(service).into_iter().flat_map(|id| {
            let dialled = service.ports.iter();
            dialled.map(move |port| BackendId {
                port: if id.port == 0 { port } else { id.port },
                ..id
            })
        });
        for id in answering {
            let key = (id, protocol_number(service.protocol));
            if let Some(other) = owners.insert(key, service)
                && other.name != service.name
            {
                return Err(StartError::Refused(format!(
                    "backend {} belongs to services \"{}\" and \"{}\", both in mode nat: its replies could not be told \
                     apart; give it a port for each",
                    SocketAddr::new(id.ip(), id.port),
                    other.name,
                    service.name
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a backend that is new in one service while flows of another may still be on it.
pub(super) fn refuse_moved<'a>(
    services: impl Iterator<Item = &'a Live> + Clone,
) -> Result<(), StartError> {
    let nat = services.filter(|live| live.row.mode == Mode::Nat as u8);
    for left in nat.clone() {
        for (_, number) in left.numbers.iter() {
            let Number::Leaving(id, _) = number else {
                continue;
            };
            let back = replies_from(left, id);
            let taken = |live: &&Live| {
                let configured = live
                    .numbers
                    .iter()
                    .filter(|(_, number)| matches!(number, Number::Configured(_)))
                    .filter_map(|(_, number)| number.id());
                let mut theirs = configured.flat_map(|id| replies_from(live, id));
                live.index != left.index
                    && theirs.any(|(key, _)| back.iter().any(|(k, _)| *k == key))
            };
            if let Some(entered) = nat.clone().find(taken) {
                let (old, new) = (&left.service.name, &entered.service.name);
                return Err(StartError::Refused(format!(
                    "backend {} moves from service \"{old}\" to \"{new}\", both in mode nat, while flows of \"{old}\" \
                     may be on it: their replies could not be told apart; take it out of \"{old}\" first, wait until \
                     it is logged as drained (`splitter get service {old}` shows it as leaving until then), then add \
                     it to \"{new}\"",
                    address(&left.service, id),
                )));
            }
        }
    }
    Ok(())
}
