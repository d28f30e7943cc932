//! Replies in `nat` mode: a reply is told by its source alone, so a backend can be of one service at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use splitter_common::abi::{Mode, Reply, ReplyKey};

use super::error::StartError;
use super::identity::{BackendId, protocol_number};
use super::live::Live;
use super::numbers::{Number, backends_of};
use crate::model::{Configuration, Service};

pub(super) fn reply_key(live: &Live, id: BackendId) -> ReplyKey {
    ReplyKey {
        address: id.address,
        port: id.port,
        protocol: live.row.protocol,
        reserved: 0,
    }
}

/// What the replies of a service's backends become: of those that left the configuration, too, while they live.
pub(super) fn replies_of(live: &Live) -> Vec<(ReplyKey, Reply)> {
    if live.row.mode != Mode::Nat as u8 {
        return Vec::new();
    }
    let reply = Reply {
        vip: live.row.vip,
        port: live.row.port,
        reserved: 0,
    };
    live.numbers
        .iter()
        .filter(|(_, meaning)| meaning.is_alive())
        .filter_map(|(_, meaning)| Some((reply_key(live, meaning.id()?), reply)))
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
        for id in backends_of(service) {
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
            let mut others = nat.clone();
            let taken = |live: &&Live| {
                live.row.protocol == left.row.protocol && live.numbers.of(&id).is_some()
            };
            if let Some(entered) = others.find(taken) {
                let (old, new) = (&left.service.name, &entered.service.name);
                return Err(StartError::Refused(format!(
                    "backend {} moves from service \"{old}\" to \"{new}\", both in mode nat, while flows of \"{old}\" \
                     may be on it: their replies could not be told apart; take it out of \"{old}\" first, wait until \
                     it is logged as drained (`splitter get service {old}` shows it as leaving until then), then add \
                     it to \"{new}\"",
                    SocketAddr::new(id.ip(), id.port),
                )));
            }
        }
    }
    Ok(())
}
