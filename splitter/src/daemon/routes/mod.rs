//! Routes of a service: what is known of them, at the start and afterwards, and what is wanted of their rows.
//!
//! [`tend`] carries out what `transition::route` says is to be done; [`request`] answers who asks for routes.

mod request;
mod tend;

use jiff::Timestamp;
use splitter_common::abi::{Address, RouteKey};

use super::live::Live;
use super::store::{RouteState, RoutesState, State};
use super::views::numbers_of;
use crate::dataplane::{Dataplane, DataplaneError};
use crate::model::{Prefix, Seed, Weights};
use crate::net::{from_abi, to_abi};
use crate::transition::Wish;
use crate::transition::route::{self, Route};

/// Most prefixes that a service may have routes for.
pub(super) const MOST: usize = 256;

/// A route in force, or coming, or leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveRoute {
    pub(super) clients: Prefix,
    /// Position of their version in the service; none: the route leaves.
    pub(super) version: Option<usize>,
    pub(super) expires: Option<Timestamp>,
    pub(super) of_file: bool,
    /// Whether its row may lack the stamps of the time when the route came into force.
    pub(super) fresh: bool,
    /// First slot of its row, as the trie has it.
    pub(super) row: Option<u32>,
}

/// A row that routes lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoutedRow {
    pub(super) first_slot: u32,
    pub(super) wishes: Vec<Wish>,
}

/// The key of a route of the service whose default row begins at `first_slot`.
fn key(first_slot: u32, clients: &Prefix) -> RouteKey {
    let before = if clients.address().is_ipv4() { 96 } else { 0 };
    RouteKey {
        prefix_length: RouteKey::SERVICE_BITS + before + u32::from(clients.length()),
        first_slot,
        address: to_abi(clients.address()),
    }
}

fn prefix(key: &RouteKey) -> Prefix {
    const MAPPED: Address = splitter_common::abi::mapped([0; 4]);
    let bits = key.prefix_length.saturating_sub(RouteKey::SERVICE_BITS);
    let v4 = key.address[..12] == MAPPED[..12] && bits >= 96;
    let length = if v4 { bits - 96 } else { bits };
    Prefix::of(from_abi(&key.address), length as u8)
}

impl Live {
    /// Takes over what the trie has: of these routes only the clients are known.
    pub(super) fn adopt_routes<D: Dataplane>(
        &mut self,
        dataplane: &D,
        entries: &[(RouteKey, u32)],
    ) -> Result<(), DataplaneError> {
        for (key, row) in entries {
            if key.first_slot == self.row.first_slot {
                let version = self.sole_version(dataplane, *row)?;
                self.routes.push(LiveRoute {
                    clients: prefix(key),
                    version,
                    expires: None,
                    of_file: false,
                    fresh: true,
                    row: Some(*row),
                });
            }
        }
        Ok(())
    }

    /// The version that all new flows of a row go to, if that is one.
    fn sole_version<D: Dataplane>(
        &self,
        dataplane: &D,
        first_slot: u32,
    ) -> Result<Option<usize>, DataplaneError> {
        let words = self.words_of(dataplane, first_slot)?;
        let mut versions = self.service.versions.iter();
        Ok(versions.position(|version| {
            let numbers = numbers_of(self, version);
            words.iter().all(|word| numbers.contains(&word.current()))
        }))
    }

    /// Adds what the state file keeps, and what the configuration says of prefixes that nobody said anything else of.
    pub(super) fn know_routes(&mut self, kept: Option<&RoutesState>) {
        let service = &self.service;
        if let Some(kept) = kept {
            for state in &kept.routes {
                let Ok(clients) = state.clients.parse::<Prefix>() else {
                    continue;
                };
                let version = state.version.as_ref().and_then(|name| {
                    let found = service.versions.iter().position(|v| v.name == *name);
                    let able = found.filter(|at| !service.versions[*at].backends.is_empty());
                    if able.is_none() {
                        tracing::warn!(
                            service = service.name,
                            clients = state.clients,
                            version = name,
                            "the version of the route is not in the file any more, or has no backend: the route leaves"
                        );
                    }
                    able
                });
                let at = self.routes.iter().position(|it| it.clients == clients);
                let row = at.and_then(|at| self.routes[at].row);
                let route = LiveRoute {
                    clients,
                    version,
                    expires: state.expires,
                    of_file: state.of_file,
                    fresh: state.fresh,
                    row,
                };
                match at {
                    Some(at) => self.routes[at] = route,
                    None => self.routes.push(route),
                }
            }
            self.unrouted = kept
                .removed
                .iter()
                .filter_map(|it| it.parse().ok())
                .collect();
        }
        let file: Vec<(Prefix, usize)> = service.routes.clone();
        let filed = |clients: &Prefix| file.iter().any(|(it, _)| it == clients);
        self.unrouted.retain(filed);
        for route in &mut self.routes {
            if route.of_file && !filed(&route.clients) {
                route.version = None;
            }
        }
        for (clients, version) in &file {
            let at = self.routes.iter().position(|it| it.clients == *clients);
            match at.map(|at| &mut self.routes[at]) {
                _ if self.unrouted.contains(clients) => {}
                Some(route) if route.of_file => route.version = Some(*version),
                Some(_) => {}
                None => self.routes.push(LiveRoute {
                    clients: *clients,
                    version: Some(*version),
                    expires: None,
                    of_file: true,
                    fresh: true,
                    row: None,
                }),
            }
        }
        self.routes.sort_by_key(|route| route.clients);
    }

    /// Puts what is known of the routes into the state that is going to be saved.
    pub(super) fn keep_routes(&self, state: &mut State) {
        if self.routes.is_empty() && self.unrouted.is_empty() {
            state.routes.remove(&self.state_key());
            return;
        }
        let name = |at: usize| self.service.versions[at].name.clone();
        let routes = self.routes.iter().map(|route| RouteState {
            clients: route.clients.to_string(),
            version: route.version.map(name),
            expires: route.expires,
            of_file: route.of_file,
            fresh: route.fresh,
        });
        let kept = RoutesState {
            routes: routes.collect(),
            removed: self.unrouted.iter().map(Prefix::to_string).collect(),
        };
        state.routes.insert(self.state_key(), kept);
    }

    /// The routes as the rules see them.
    pub(super) fn as_rules(&self) -> Vec<Route<usize>> {
        let rule = |route: &LiveRoute| Route {
            clients: route.clients,
            version: route.version,
            row: route.row,
        };
        self.routes.iter().map(rule).collect()
    }

    /// Finds out which rows there are and what is wanted of them: all slots for the version of the routes, or what is
    /// wanted of the covering row. Those of `hasty` follow at once.
    pub(super) fn wish_of_routes(&mut self, seed: Seed, hasty: &[u32]) {
        let rules = self.as_rules();
        let mut firsts: Vec<u32> = rules.iter().filter_map(|rule| rule.row).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let before = std::mem::take(&mut self.rows);
        for first_slot in firsts {
            let old = before.iter().find(|row| row.first_slot == first_slot);
            let owners = self.owners_of(first_slot, &rules, seed);
            let now = hasty.contains(&first_slot);
            let wishes = owners.into_iter().enumerate().map(|(slot, owner)| Wish {
                owner,
                at_once: now || old.is_some_and(|row| row.wishes[slot].at_once),
            });
            self.rows.push(RoutedRow {
                first_slot,
                wishes: wishes.collect(),
            });
        }
        self.moving |= !self.rows.is_empty();
    }

    /// The owners that are wanted of a row.
    fn owners_of(&self, first_slot: u32, rules: &[Route<usize>], seed: Seed) -> Vec<u16> {
        let mut row = first_slot;
        while let Some(rule) = rules.iter().find(|rule| rule.row == Some(row)) {
            match rule.version {
                Some(version) => match self.owners_for(version, seed) {
                    Some(owners) => return owners,
                    // Its backends were looked for before; should there be none, the default row's are better.
                    None => break,
                },
                None => row = route::cover(rules, &rule.clients, self.row.first_slot),
            }
        }
        self.wishes.iter().map(|wish| wish.owner).collect()
    }

    /// The owners of the slots of a row whose clients all get one version.
    pub(super) fn owners_for(&self, version: usize, seed: Seed) -> Option<Vec<u16>> {
        let weights = Weights::all_to(version, self.service.versions.len());
        self.place(&weights, seed).ok()
    }

    /// Whether an entry was written and its row not settled: until then no word is.
    pub(super) fn is_unsettled(&self) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|route| route.fresh && route.row.is_some())
    }

    /// `--now` is a wish for one round.
    pub(super) fn hurry_no_more(&mut self) {
        let rows = self.rows.iter_mut().map(|row| &mut row.wishes);
        for wishes in rows.chain([&mut self.wishes]) {
            wishes.iter_mut().for_each(|wish| wish.at_once = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_prefixes_are_the_same_thing() {
        for text in [
            "0.0.0.0/0",
            "10.8.0.0/16",
            "255.255.255.255/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
        ] {
            let clients: Prefix = text.parse().expect("a prefix");
            let key = key(64, &clients);
            assert_eq!(prefix(&key), clients);
            assert_eq!(key.first_slot, 64);
        }
    }
}
