//! Who asks for routes: judged, kept, put into force.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use splitter_common::abi::SlotState;

use super::super::change::failed;
use super::super::clock::Now;
use super::super::core::Core;
use super::super::live::{Live, settled};
use super::{LiveRoute, MOST};
use crate::api::RequestError;
use crate::api::types::{AddRoute, RemoveRoute, RouteChange, RouteList, RouteView};
use crate::dataplane::Dataplane;
use crate::model::Prefix;
use crate::transition::route::{self, Task};

impl<D: Dataplane> Core<D> {
    /// The routes of a service.
    pub(in crate::daemon) fn routes(&self, name: &str) -> Result<RouteList, RequestError> {
        let live = &self.services[self.find(name)?];
        Ok(RouteList {
            service: name.to_owned(),
            routes: self.route_views(live)?,
        })
    }

    /// The routes of a service, as they are shown.
    pub(in crate::daemon) fn route_views(
        &self,
        live: &Live,
    ) -> Result<Vec<RouteView>, RequestError> {
        let mut moving = BTreeMap::new();
        let mut at_rest = BTreeMap::new();
        for row in &live.rows {
            let words = live
                .words_of(&self.dataplane, row.first_slot)
                .map_err(failed)?;
            let slots = words
                .iter()
                .filter(|word| word.state() != SlotState::Steady)
                .count();
            moving.insert(row.first_slot, slots as u32);
            at_rest.insert(row.first_slot, settled(&words, &row.wishes));
        }
        let view = |route: &LiveRoute| RouteView {
            clients: route.clients.to_string(),
            version: route
                .version
                .map(|at| live.service.versions[at].name.clone()),
            state: match (route.version, route.row) {
                (None, _) => "leaving",
                (_, None) => "waiting",
                (_, Some(row)) if at_rest.get(&row) == Some(&true) => "settled",
                _ => "moving",
            }
            .to_owned(),
            origin: if route.of_file { "file" } else { "command" }.to_owned(),
            expires: route.expires,
            slots_in_transition: route
                .row
                .and_then(|row| moving.get(&row).copied())
                .unwrap_or(0),
        };
        Ok(live.routes.iter().map(view).collect())
    }

    /// Gives clients a version whatever the weights.
    pub(in crate::daemon) fn add_route(
        &mut self,
        name: &str,
        wanted: &AddRoute,
        now: Now,
    ) -> Result<RouteChange, RequestError> {
        let at = self.find(name)?;
        let live = &self.services[at];
        let clients = prefixes(live, &wanted.clients)?;
        let version = version(live, &wanted.version)?;
        let owners = live.owners_for(version, self.seed).ok_or_else(|| {
            let why = "has no backend that could take flows";
            RequestError::Refused(format!("version \"{}\" {why}", wanted.version))
        })?;
        let expires = match wanted.ttl_seconds {
            None => None,
            Some(0) => {
                return Err(RequestError::Invalid(
                    "ttl_seconds: found 0, expected at least 1".into(),
                ));
            }
            Some(seconds) => Some(later(now, seconds)?),
        };
        let mut routes = live.routes.clone();
        for clients in &clients {
            let known = routes.iter_mut().find(|route| route.clients == *clients);
            match known {
                Some(route) => {
                    (route.version, route.expires, route.of_file) = (Some(version), expires, false);
                }
                None => routes.push(LiveRoute {
                    clients: *clients,
                    version: Some(version),
                    expires,
                    of_file: false,
                    fresh: true,
                    row: None,
                }),
            }
        }
        routes.sort_by_key(|route| route.clients);
        self.refuse_without_room(at, &routes)?;
        let view = RouteChange {
            version: Some(wanted.version.clone()),
            expires,
            ..self.foretell(at, &clients, |_| owners.clone(), wanted.now, wanted.dry_run)?
        };
        if !wanted.dry_run {
            self.services[at]
                .unrouted
                .retain(|it| !clients.contains(it));
            self.put_routes(at, routes, &clients, wanted.now, now)?;
            tracing::info!(service = name, clients = ?view.clients, version = wanted.version, "route added");
        }
        Ok(view)
    }

    /// Lets clients follow the weights, or the next wider route, again.
    pub(in crate::daemon) fn remove_route(
        &mut self,
        name: &str,
        wanted: &RemoveRoute,
        now: Now,
    ) -> Result<RouteChange, RequestError> {
        let at = self.find(name)?;
        let live = &self.services[at];
        let clients = prefixes(live, &wanted.clients)?;
        let mut routes = live.routes.clone();
        for clients in &clients {
            let known = routes.iter_mut().find(|route| route.clients == *clients);
            let Some(route) = known.filter(|route| route.version.is_some()) else {
                let known: Vec<String> = live
                    .routes
                    .iter()
                    .filter(|route| route.version.is_some())
                    .map(|route| route.clients.to_string())
                    .collect();
                let expected = match known.as_slice() {
                    [] => "it has none".to_owned(),
                    known => format!("expected one of {}", known.join(", ")),
                };
                return Err(RequestError::NotFound(format!(
                    "found no route of {clients} in service \"{name}\", {expected}"
                )));
            };
            (route.version, route.expires) = (None, None);
        }
        self.refuse_without_room(at, &routes)?;
        let mut after = live.clone();
        after.routes.clone_from(&routes);
        let rules = after.as_rules();
        let owners = |clients: &Prefix| {
            let cover = route::cover(&rules, clients, live.row.first_slot);
            let wishes = live.all_rows().find(|(first, _)| *first == cover);
            wishes.map_or(Vec::new(), |(_, wishes)| {
                wishes.iter().map(|w| w.owner).collect()
            })
        };
        let view = self.foretell(at, &clients, owners, wanted.now, wanted.dry_run)?;
        if !wanted.dry_run {
            let live = &mut self.services[at];
            let filed = |it: &&Prefix| live.service.routes.iter().any(|(file, _)| file == *it);
            let unrouted: Vec<Prefix> = clients.iter().filter(filed).copied().collect();
            live.unrouted.extend(unrouted);
            self.put_routes(at, routes, &clients, wanted.now, now)?;
            tracing::info!(service = name, clients = ?view.clients, "route removed");
        }
        Ok(view)
    }

    /// Durable first, then into force; what cannot be written now the next ticks write.
    fn put_routes(
        &mut self,
        at: usize,
        routes: Vec<LiveRoute>,
        clients: &[Prefix],
        at_once: bool,
        now: Now,
    ) -> Result<(), RequestError> {
        let before = std::mem::replace(&mut self.services[at].routes, routes);
        let unrouted = self.services[at].unrouted.clone();
        if let Err(error) = self.save_routes(at) {
            let live = &mut self.services[at];
            (live.routes, live.unrouted) = (before, unrouted);
            return Err(failed(error));
        }
        let done = self.tend_routes(now).and_then(|()| {
            let live = &mut self.services[at];
            let theirs = live
                .routes
                .iter()
                .filter(|route| clients.contains(&route.clients));
            let hasty: Vec<u32> = theirs.filter_map(|route| route.row).collect();
            live.wish_of_routes(self.seed, if at_once { &hasty } else { &[] });
            self.note_transitions(now)?;
            Ok(self.advance()?)
        });
        if let Err(error) = done {
            tracing::error!(%error, "the routes are kept but not yet in the maps");
        }
        Ok(())
    }

    /// Refuses more routes than a service may have, and more rows than there is room for.
    fn refuse_without_room(&self, at: usize, routes: &[LiveRoute]) -> Result<(), RequestError> {
        let live = &self.services[at];
        if routes.len() > MOST {
            return Err(RequestError::Refused(format!(
                "found {} routes, expected at most {MOST} in a service",
                routes.len()
            )));
        }
        let mut after = live.clone();
        after.routes = routes.to_vec();
        let mut rules = after.as_rules();
        let mut taken = self.taken_slots();
        let slots = live.slots();
        while let Some(task) = route::next_task(&rules, live.row.first_slot) {
            match task {
                Task::Drop(at) => _ = rules.remove(at),
                Task::Open { routes, .. } => {
                    let room = self.dataplane.slot_room();
                    let first = super::super::ranges::first_free(&taken, slots, room);
                    let first = first.ok_or_else(|| {
                        RequestError::Refused(format!(
                            "there is no room: these routes need a row of {slots} slots more than daemon.max_slots, \
                             {room}, has beside the rows in use; routes of one version that are added together share \
                             a row"
                        ))
                    })?;
                    taken.push(first..first + slots);
                    for route in routes {
                        rules[route].row = Some(first);
                    }
                }
            }
        }
        Ok(())
    }

    /// What a change of routes does.
    fn foretell(
        &self,
        at: usize,
        clients: &[Prefix],
        owners: impl Fn(&Prefix) -> Vec<u16>,
        now: bool,
        dry_run: bool,
    ) -> Result<RouteChange, RequestError> {
        let live = &self.services[at];
        let rules = live.as_rules();
        let mut rows = BTreeSet::new();
        let (mut moved, mut slots) = (0, 0);
        for clients in clients {
            let own = rules.iter().find(|rule| rule.clients == *clients);
            let row = own.and_then(|rule| rule.row);
            let row = row.unwrap_or_else(|| route::cover(&rules, clients, live.row.first_slot));
            if !rows.insert(row) {
                continue;
            }
            let words = live.words_of(&self.dataplane, row).map_err(failed)?;
            let owners = owners(clients);
            let changes = words
                .iter()
                .zip(&owners)
                .filter(|(word, owner)| word.current() != **owner);
            moved += changes.count() as u32;
            slots += live.slots();
        }
        Ok(RouteChange {
            service: live.service.name.clone(),
            clients: clients.iter().map(Prefix::to_string).collect(),
            version: None,
            expires: None,
            slots_moved: moved,
            slots,
            established_flows_moved: 0,
            holds_in_seconds: live.holds_in(now).as_secs_f64(),
            dry_run,
        })
    }
}

impl Live {
    /// First slot of the row that governs a client, and the route that leads there, if one does.
    pub(in crate::daemon) fn governing(&self, client: IpAddr) -> (u32, Option<&LiveRoute>) {
        let entered = self.routes.iter().filter(|route| route.row.is_some());
        let route = entered
            .filter(|route| route.clients.contains(client))
            .max_by_key(|route| route.clients.length());
        let row = route.and_then(|route| route.row);
        (row.unwrap_or(self.row.first_slot), route)
    }
}

/// The prefixes that were written, each once, of the family of the VIP.
fn prefixes(live: &Live, written: &[String]) -> Result<Vec<Prefix>, RequestError> {
    let invalid = |what: String| RequestError::Invalid(format!("clients: {what}"));
    let mut prefixes = Vec::new();
    for text in written {
        let prefix: Prefix = text.parse().map_err(|e| invalid(format!("{e}")))?;
        let vip = live.service.vip;
        if prefix.address().is_ipv4() != vip.is_ipv4() {
            return Err(invalid(format!(
                "found {prefix}, expected a prefix of the family of VIP {vip}"
            )));
        }
        if prefixes.contains(&prefix) {
            return Err(invalid(format!("found {prefix} twice, expected each once")));
        }
        prefixes.push(prefix);
    }
    if prefixes.is_empty() {
        return Err(invalid("found none, expected at least one CIDR".to_owned()));
    }
    Ok(prefixes)
}

fn version(live: &Live, name: &str) -> Result<usize, RequestError> {
    let versions = &live.service.versions;
    versions
        .iter()
        .position(|it| it.name == name)
        .ok_or_else(|| {
            let known: Vec<&str> = versions.iter().map(|it| it.name.as_str()).collect();
            RequestError::Invalid(format!(
                "found version \"{name}\", expected one of {}",
                known.join(", ")
            ))
        })
}

fn later(now: Now, seconds: u64) -> Result<jiff::Timestamp, RequestError> {
    now.wall
        .checked_add(std::time::Duration::from_secs(seconds))
        .map_err(|_| {
            RequestError::Invalid(format!("ttl_seconds: found {seconds}, which never ends"))
        })
}
