//! Carrying out what is to be done about rows, one thing after the other. Between any two writes it may be killed.

use std::collections::BTreeSet;
use std::ops::Range;

use splitter_common::abi::RouteKey;

use super::super::clock::Now;
use super::super::core::Core;
use super::super::error::StartError;
use super::super::live::Live;
use super::super::ranges::first_free;
use super::{MOST, key};
use crate::dataplane::{Dataplane, DataplaneError};
use crate::transition::Cell;
use crate::transition::route::{self, Task};

impl<D: Dataplane> Core<D> {
    /// Lets routes go whose time is over, and does what is to be done about rows.
    pub(in crate::daemon) fn tend_routes(&mut self, now: Now) -> Result<(), StartError> {
        for at in 0..self.services.len() {
            if self.services[at].routes.is_empty() {
                continue;
            }
            self.expire_routes(at, now)?;
            // More than enough; should a machine be too slow for any of it, others have their turn.
            for _ in 0..4 * MOST {
                if !self.tend_route(at)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn expire_routes(&mut self, at: usize, now: Now) -> Result<(), StartError> {
        let live = &mut self.services[at];
        let mut expired = false;
        for route in &mut live.routes {
            if route.expires.is_some_and(|when| when <= now.wall) {
                (route.version, route.expires) = (None, None);
                expired = true;
                tracing::info!(
                    service = live.service.name,
                    clients = %route.clients,
                    "the route's time is over: its clients follow the weights"
                );
                if live
                    .service
                    .routes
                    .iter()
                    .any(|(it, _)| *it == route.clients)
                {
                    live.unrouted.push(route.clients);
                }
            }
        }
        if expired {
            self.services[at].wish_of_routes(self.seed, &[]);
            self.save_routes(at)?;
        }
        Ok(())
    }

    /// Keeps the routes of a service.
    pub(super) fn save_routes(&mut self, at: usize) -> Result<(), StartError> {
        let mut state = self.state.clone();
        self.services[at].keep_routes(&mut state);
        self.store.save(&state)?;
        self.state = state;
        Ok(())
    }

    /// Does one thing, if there is one to be done.
    fn tend_route(&mut self, at: usize) -> Result<bool, StartError> {
        let live = &mut self.services[at];
        let known = live.routes.len();
        live.routes
            .retain(|route| route.version.is_some() || route.row.is_some());
        if live.routes.len() < known {
            if live.routes.is_empty() {
                live.row.routed = 0;
                self.dataplane.set_service(live.index, &live.row)?;
            }
            self.save_routes(at)?;
        }
        let live = &self.services[at];
        let unsettled = live
            .routes
            .iter()
            .find(|route| route.fresh && route.row.is_some());
        if let Some(row) = unsettled.and_then(|route| route.row) {
            self.settle_row(at, row)?;
            return Ok(true);
        }
        match route::next_task(&live.as_rules(), live.row.first_slot) {
            Some(Task::Drop(route)) => {
                self.enter(at, route, None)?;
                self.dataplane.grace()?;
                Ok(true)
            }
            Some(Task::Open { routes, from }) => match self.free_row(at) {
                Some(row) => self.open_row(at, &routes, from, row).map(|()| true),
                // A row that leaves makes room.
                None => self.close_row(at),
            },
            None => self.close_row(at),
        }
    }

    /// Slots of all rows of all services.
    pub(super) fn taken_slots(&self) -> Vec<Range<u32>> {
        let range = |first: u32, mask: u32| first..first + mask + 1;
        let live = self.services.iter().flat_map(|live| {
            let rows = live.all_rows().map(|(first, _)| first);
            rows.map(move |first| range(first, live.row.slot_mask))
        });
        let removed = self.removed.iter().flat_map(|removed| {
            let rows = removed.rows.iter().chain([&removed.row.first_slot]);
            rows.map(|first| range(*first, removed.row.slot_mask))
        });
        live.chain(removed).collect()
    }

    fn free_row(&self, at: usize) -> Option<u32> {
        let slots = self.services[at].slots();
        first_free(&self.taken_slots(), slots, self.dataplane.slot_room())
    }

    /// Gives routes a new row that is a copy of the one at `from`, as far as its entries can be written in time.
    fn open_row(
        &mut self,
        at: usize,
        routes: &[usize],
        from: u32,
        row: u32,
    ) -> Result<(), StartError> {
        let live = &mut self.services[at];
        let marked = routes.iter().all(|route| live.routes[*route].fresh);
        if !marked {
            for route in routes {
                live.routes[*route].fresh = true;
            }
            self.save_routes(at)?;
        }
        let live = &mut self.services[at];
        if live.row.routed == 0 {
            live.row.routed = 1;
            self.dataplane.set_service(live.index, &live.row)?;
        }
        // Whoever was led to a row that was freed just now has gone.
        self.dataplane.grace()?;
        let now_ns = (self.clock)().ns;
        let timers = live.timers();
        let copy = route::copy(
            &live.words_of(&self.dataplane, from)?,
            timers.margin_ns,
            now_ns,
        );
        for write in &copy.writes {
            live.carry_out(&mut self.dataplane, row, write, &|| true)?;
        }
        for route in routes {
            if copy.is_stale(&timers, (self.clock)().ns) {
                tracing::warn!("was held up while it made a row for routes; makes another");
                break;
            }
            self.enter(at, *route, Some(row))?;
        }
        self.services[at].wish_of_routes(self.seed, &[]);
        Ok(())
    }

    /// A grace period after its entries were written: see [`route::settle`].
    fn settle_row(&mut self, at: usize, row: u32) -> Result<(), StartError> {
        self.dataplane.grace()?;
        let now_ns = (self.clock)().ns;
        let live = &mut self.services[at];
        for (slot, cell) in route::settle(&live.words_of(&self.dataplane, row)?, now_ns) {
            if let Cell::Stamp(stamp, ns) = cell {
                self.dataplane.set_stamp(row + slot, stamp, ns)?;
            }
        }
        for route in &mut live.routes {
            route.fresh &= route.row != Some(row);
        }
        self.save_routes(at)
    }

    /// Takes the routes of a row away that leave, if it agrees with the covering row; says whether there was one.
    fn close_row(&mut self, at: usize) -> Result<bool, StartError> {
        let live = &self.services[at];
        let (rules, default) = (live.as_rules(), live.row.first_slot);
        for rule in &rules {
            let live = &self.services[at];
            let (Some(row), None) = (rule.row, rule.version) else {
                continue;
            };
            // Where others share the row they are to part first.
            let shared = rules
                .iter()
                .any(|it| it.row == Some(row) && it.version.is_some());
            let cover = route::cover(&rules, &rule.clients, default);
            let words = live.words_of(&self.dataplane, row)?;
            if shared || !route::agree(&words, &live.words_of(&self.dataplane, cover)?) {
                continue;
            }
            for other in 0..rules.len() {
                let covered = route::cover(&rules, &rules[other].clients, default);
                if rules[other].row == Some(row) && covered == cover {
                    self.enter(at, other, None)?;
                }
            }
            self.dataplane.grace()?;
            let live = &mut self.services[at];
            live.wish_of_routes(self.seed, &[]);
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes a route's entry.
    fn enter(&mut self, at: usize, route: usize, row: Option<u32>) -> Result<(), DataplaneError> {
        let live = &mut self.services[at];
        let route = &mut live.routes[route];
        let key = key(live.row.first_slot, &route.clients);
        self.dataplane.set_route(&key, row)?;
        route.row = row;
        Ok(())
    }

    /// Takes all routes of a service that is gone away.
    pub(in crate::daemon) fn remove_routes(
        &mut self,
        first_slot: u32,
    ) -> Result<(), DataplaneError> {
        self.remove_keys(|key| key.first_slot == first_slot)
    }

    /// Takes routes away that no service has.
    pub(in crate::daemon) fn remove_strays(
        &mut self,
        services: &[(Live, bool)],
    ) -> Result<(), DataplaneError> {
        let adopted = services.iter().filter(|(_, adopted)| *adopted);
        let removed = self.removed.iter().map(|removed| removed.row.first_slot);
        let known: BTreeSet<u32> = adopted
            .map(|(live, _)| live.row.first_slot)
            .chain(removed)
            .collect();
        self.remove_keys(|key| !known.contains(&key.first_slot))
    }

    fn remove_keys(&mut self, which: impl Fn(&RouteKey) -> bool) -> Result<(), DataplaneError> {
        let mut wrote = false;
        for (key, _) in self.dataplane.routes()? {
            if which(&key) {
                self.dataplane.set_route(&key, None)?;
                wrote = true;
            }
        }
        if wrote {
            self.dataplane.grace()?;
        }
        Ok(())
    }
}
