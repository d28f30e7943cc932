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

pub(super) fn reply_key(live: &Live, id: BackendId) -> ReplyKey {
    ReplyKey {
        address: id.address,
        port: id.port,
        protocol: live.row.protocol,
        reserved: 0,
    }
}

/// The sources of replies of a service's backends: of those that left the configuration, too, while they live.
fn sources_of(live: &Live) -> impl Iterator<Item = (u16, ReplyKey)> + '_ {
    let nat = live.row.mode == Mode::Nat as u8;
    let numbers = live.numbers.iter();
    numbers
        .filter(move |(_, meaning)| nat && meaning.is_alive())
        .filter_map(|(number, meaning)| Some((number, reply_key(live, meaning.id()?))))
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
            let reply = Reply {
                vip: live.row.vip,
                port: live.row.port,
                shared: 0,
            };
            for (_, key) in sources_of(live) {
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
    pub(super) fn flags(&self, key: &ReplyKey, flags: u32) -> u32 {
        match self.0.get(&source(key)) {
            Some((_, reply)) if reply.shared != 0 => flags | Backend::SHARED,
            _ => flags & !Backend::SHARED,
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
        for (number, key) in sources_of(live) {
            let index = live.row.first_backend + u32::from(number);
            let old = dataplane.backend(index)?;
            // One that is new in its number is marked when it comes to life.
            if (old.address, old.port) != (key.address, key.port) || !old.is(Backend::ALIVE) {
                continue;
            }
            let flags = replies.flags(&key, old.flags);
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
