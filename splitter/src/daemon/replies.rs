//! Replies in `nat` mode: what the source of a backend's packets becomes. A backend of one service has one VIP. Where
//! several services send to the same address and port, their flows have reverse records, and what has none belongs to
//! the service that was there first.

use std::collections::{BTreeMap, BTreeSet};

use splitter_common::abi::{Address, Backend, Mode, Reply, ReplyKey};

use super::identity::BackendId;
use super::live::Live;
use crate::dataplane::{Dataplane, DataplaneError};

/// A backend's address, port and protocol: a [`ReplyKey`] that can be ordered.
type Source = (Address, u16, u8);

const fn source(key: &ReplyKey) -> Source {
    (key.address, key.port, key.protocol)
}

/// The ways back from a backend, one for each port that it answers on.
fn replies_from(live: &Live, id: BackendId) -> Vec<(ReplyKey, Reply)> {
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
            shared: 0,
        };
        (key, reply)
    };
    let ports = &live.service.ports;
    match id.port {
        0 => ports.iter().map(|port| back(port, port)).collect(),
        // One that left a service which has several ports since then: its flows are of the port before.
        port => vec![back(port, ports.only().unwrap_or(live.row.port))],
    }
}

/// The backends of a service that answer: those that left the configuration, too, while they live.
fn answering(live: &Live) -> impl Iterator<Item = (u16, BackendId)> + '_ {
    let nat = live.row.mode == Mode::Nat as u8;
    let numbers = live.numbers.iter();
    numbers
        .filter(move |(_, meaning)| nat && meaning.is_alive())
        .filter_map(|(number, meaning)| Some((number, meaning.id()?)))
}

/// What the replies of all backends become.
#[derive(Debug, Default)]
pub(super) struct Replies(BTreeMap<Source, (ReplyKey, Reply)>);

impl Replies {
    /// From the services and what is in force. A backend that gets a second service keeps its VIP for the flows without
    /// a record, which are those from before.
    fn of<'a>(services: impl Iterator<Item = &'a Live>, in_force: &[(ReplyKey, Reply)]) -> Self {
        let mut owners: BTreeMap<Source, Vec<(ReplyKey, Reply)>> = BTreeMap::new();
        for live in services {
            for (key, reply) in answering(live).flat_map(|(_, id)| replies_from(live, id)) {
                owners.entry(source(&key)).or_default().push((key, reply));
            }
        }
        let before: BTreeMap<Source, Reply> = in_force
            .iter()
            .map(|(key, reply)| (source(key), *reply))
            .collect();
        let first = |(source, owners): (Source, Vec<(ReplyKey, Reply)>)| {
            let (key, mut reply) = *owners.first()?;
            if let Some(old) = before.get(&source)
                && owners
                    .iter()
                    .any(|(_, owner)| (owner.vip, owner.port) == (old.vip, old.port))
            {
                reply = *old;
            }
            reply.shared = u16::from(owners.len() > 1);
            Some((source, (key, reply)))
        };
        Self(owners.into_iter().filter_map(first).collect())
    }

    /// The flags of a backend's row, with or without the mark of a shared one.
    pub(super) fn flags(&self, live: &Live, id: BackendId, flags: u32) -> u32 {
        let shared = |key: &ReplyKey| {
            let found = self.0.get(&source(key));
            found.is_some_and(|(_, reply)| reply.shared != 0)
        };
        if replies_from(live, id).iter().any(|(key, _)| shared(key)) {
            flags | Backend::SHARED
        } else {
            flags & !Backend::SHARED
        }
    }
}

/// Writes what the replies of the services' backends become, and marks backends that are shared. It may stop anywhere:
/// rows go first, since marks lead to records, and records are looked for only where the row says so.
pub(super) fn write<'a, D: Dataplane>(
    dataplane: &mut D,
    services: impl Iterator<Item = &'a Live> + Clone,
) -> Result<Replies, DataplaneError> {
    let in_force = dataplane.replies()?;
    let replies = Replies::of(services.clone(), &in_force);
    for (key, reply) in replies.0.values() {
        if !in_force.contains(&(*key, *reply)) {
            dataplane.set_reply(key, Some(*reply))?;
        }
    }
    let known: BTreeSet<Address> = dataplane.nat_addresses()?.into_iter().collect();
    let addresses: BTreeSet<Address> = replies.0.keys().map(|source| source.0).collect();
    for address in addresses.difference(&known) {
        dataplane.set_nat_address(address, true)?;
    }
    for live in services {
        for (number, id) in answering(live) {
            let index = live.row.first_backend + u32::from(number);
            let old = dataplane.backend(index)?;
            // One that is new in its number is marked when it comes to life.
            if (old.address, old.port) != (id.address, id.port) || !old.is(Backend::ALIVE) {
                continue;
            }
            let flags = replies.flags(live, id, old.flags);
            if flags != old.flags {
                dataplane.set_backend(index, &Backend { flags, ..old })?;
            }
        }
    }
    Ok(replies)
}

/// Takes out of force what no backend has any more.
pub(super) fn remove_others<D: Dataplane>(
    dataplane: &mut D,
    replies: &Replies,
) -> Result<(), DataplaneError> {
    for (key, _) in dataplane.replies()? {
        if !replies.0.contains_key(&source(&key)) {
            dataplane.set_reply(&key, None)?;
        }
    }
    let addresses: BTreeSet<Address> = replies.0.keys().map(|source| source.0).collect();
    for address in dataplane.nat_addresses()? {
        if !addresses.contains(&address) {
            dataplane.set_nat_address(&address, false)?;
        }
    }
    Ok(())
}
