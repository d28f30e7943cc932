//! Routes: groups of clients that get a row of slots of their own, one store at a time, with the real tasks, copies and
//! judgements of `splitter::transition::route`.

use super::mutants::Mutant;
use super::report::Note;
use super::world::{Event, NS, ROWS, S, World};
use splitter::model::Prefix;
use splitter::transition::route::{self, Route, Task};
use splitter::transition::{Cell as Store, Timers, Wish};
use splitter_common::abi::{SlotState, SlotWord};
use splitter_common::datapath::transition::Rules;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// Groups of clients, by address.
pub(super) const GROUPS: u64 = 4;
/// Prefixes that routes have: two groups, one of those, and another.
const PREFIXES: [(u8, u8); 3] = [(2, 23), (3, 24), (1, 24)];

/// The trie.
#[derive(Default)]
pub(super) struct Entries {
    rows: [Cell<Option<usize>>; PREFIXES.len()],
    /// The row of every group: what a look-up finds.
    governing: [Cell<usize>; GROUPS as usize],
    pub(super) version: Cell<u32>,
}

/// A route as it is on disk.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// None: it leaves.
    version: Option<u16>,
    /// Its row is not settled yet.
    fresh: bool,
}

/// A row that is being made.
pub(super) struct Making {
    row: usize,
    from: usize,
    computed_ns: u64,
    stores: VecDeque<Step>,
}

#[derive(Clone, Copy)]
enum Step {
    Store(usize, Store),
    Enter(usize),
    Settle,
    Done,
}

fn prefix(at: usize) -> Prefix {
    let (group, length) = PREFIXES[at];
    Prefix::of(Ipv4Addr::new(10, 0, group, 0).into(), length)
}

fn client(key: u64) -> IpAddr {
    Ipv4Addr::new(10, 0, (key / NS as u64 % GROUPS) as u8, 1).into()
}

/// Where a key's flows are placed, in words.
pub(super) fn place(key: u64) -> String {
    format!("slot {} of {}", key % NS as u64, client(key))
}

impl<R: Rules> World<R> {
    /// The slot that governs flows of a key (or of a record's tag, whose low bits are the key's): longest prefix wins.
    pub(super) fn slot_of(&self, key: u64) -> usize {
        let group = (key / NS as u64 % GROUPS) as usize;
        self.entries.governing[group].get() * NS + (key % NS as u64) as usize
    }

    /// Rows that packets may be led to, the default one first.
    pub(super) fn live_rows(&self) -> Vec<usize> {
        (0..ROWS)
            .filter(|row| {
                *row == 0
                    || self
                        .entries
                        .rows
                        .iter()
                        .any(|entry| entry.get() == Some(*row))
            })
            .collect()
    }

    pub(super) fn live_slots(&self) -> Vec<usize> {
        let rows = self.live_rows().into_iter();
        rows.flat_map(|row| row * NS..(row + 1) * NS).collect()
    }

    pub(super) fn row_words(&self, row: usize) -> [SlotWord; NS] {
        std::array::from_fn(|slot| self.words[row * NS + slot].get())
    }

    /// The routes that are on disk, and which ones they are.
    fn routes(&self) -> (Vec<usize>, Vec<Route<u16>>) {
        let daemon = self.daemon.borrow();
        let known = (0..PREFIXES.len()).filter_map(|at| Some((at, daemon.routes[at]?)));
        known
            .map(|(at, wanted)| {
                let route = Route {
                    clients: prefix(at),
                    version: wanted.version,
                    row: self.entries.rows[at].get().map(|row| row as u32),
                };
                (at, route)
            })
            .unzip()
    }

    /// What is wanted of a row's slots.
    pub(super) fn row_wishes(&self, row: usize) -> [Wish; NS] {
        let daemon = self.daemon.borrow();
        let at_once = daemon.hasty[row];
        let (_, routes) = self.routes();
        let of_row = |row: usize| routes.iter().find(|route| route.row == Some(row as u32));
        let mut row = row;
        loop {
            match of_row(row) {
                None => return daemon.wishes,
                Some(Route {
                    version: Some(owner),
                    ..
                }) => {
                    return [Wish {
                        owner: *owner,
                        at_once,
                    }; NS];
                }
                Some(leaving) => row = route::cover(&routes, &leaving.clients, 0) as usize,
            }
        }
    }

    /// Somebody adds, changes or removes a route; some go by themselves.
    pub(super) fn route(&self) {
        self.after(self.random.pick(&[S, 10 * S, 30 * S, 60 * S]), Event::Route);
        let able = self.able();
        let version = self.random.pick(&able);
        let at_once = self.random.percent(12);
        let first = self.random.below(PREFIXES.len() as u64) as usize;
        let second = self
            .random
            .percent(30)
            .then(|| self.random.below(3) as usize);
        let leaves = self.random.percent(40);
        for at in [Some(first), second].into_iter().flatten() {
            let mut daemon = self.daemon.borrow_mut();
            let wanted = &mut daemon.routes[at];
            let known = wanted.is_some_and(|wanted| wanted.version.is_some());
            if known && leaves {
                drop(daemon);
                self.expire(at);
                continue;
            }
            wanted.get_or_insert_default().version = Some(version);
            if at_once && let Some(row) = self.entries.rows[at].get() {
                daemon.hasty[row] = true;
            }
            if self.random.percent(30) {
                self.after(self.random.below(60 * S), Event::Expire(at));
            }
        }
        self.daemon.borrow_mut().due = true;
        if self.random.percent(20) {
            self.kill();
        }
    }

    pub(super) fn expire(&self, at: usize) {
        if let Some(wanted) = &mut self.daemon.borrow_mut().routes[at] {
            wanted.version = None;
        }
    }

    /// Routes to a dead backend go to another.
    pub(super) fn reroute(&self, dead: u16, heirs: &[u16]) {
        for wanted in self.daemon.borrow_mut().routes.iter_mut().flatten() {
            if wanted.version == Some(dead) {
                wanted.version = Some(self.random.pick(heirs));
            }
        }
    }

    pub(super) fn is_routed_to(&self, number: u16) -> bool {
        let daemon = self.daemon.borrow();
        let mut routes = daemon.routes.iter().flatten();
        routes.any(|wanted| wanted.version == Some(number))
    }

    /// Does what is to be done about rows, a grace period having passed; says whether there was anything.
    pub(super) fn tend_routes(&self) -> bool {
        self.forget_gone();
        let (at, routes) = self.routes();
        // A kill between an entry and its stamps.
        let unsettled = at.iter().find_map(|at| {
            let fresh = self.daemon.borrow().routes[*at]?.fresh;
            self.entries.rows[*at].get().filter(|_| fresh)
        });
        if let Some(row) = unsettled {
            self.daemon.borrow_mut().making = Some(Making {
                row,
                from: row,
                computed_ns: 0,
                stores: [Step::Settle].into(),
            });
            return true;
        }
        match route::next_task(&routes, 0) {
            Some(Task::Drop(route)) => self.enter(at[route], None),
            Some(Task::Open { routes, from }) => {
                let routes: Vec<usize> = routes.into_iter().map(|route| at[route]).collect();
                self.open(&routes, from as usize);
            }
            None => return self.close(&at, &routes),
        }
        true
    }

    /// Those that were to leave and have no row are gone.
    fn forget_gone(&self) {
        let mut daemon = self.daemon.borrow_mut();
        for (wanted, row) in daemon.routes.iter_mut().zip(&self.entries.rows) {
            if wanted.is_some_and(|wanted| wanted.version.is_none()) && row.get().is_none() {
                *wanted = None;
            }
        }
    }

    fn open(&self, routes: &[usize], from: usize) {
        let live = self.live_rows();
        let row = (1..ROWS)
            .find(|row| !live.contains(row))
            .expect("a row a route, and one more");
        let now = self.coarse_now();
        let copy = route::copy(&self.row_words(from), Timers::MARGIN_NS, now);
        let stores = copy.writes.iter().flat_map(|write| {
            let slot = row * NS + write.slot as usize;
            write.cells().map(move |store| Step::Store(slot, store))
        });
        let stores = stores.map(|step| match (step, self.mutant) {
            (Step::Store(slot, Store::Stamp(stamp, _)), Some(Mutant::CopiedWithoutStamps)) => {
                Step::Store(slot, Store::Stamp(stamp, 0))
            }
            (Step::Store(slot, Store::Word(word)), Some(Mutant::CopiedAtRest)) => {
                Step::Store(slot, Store::Word(SlotWord::steady(word.current())))
            }
            (step, _) => step,
        });
        let enter = routes.iter().map(|at| Step::Enter(*at));
        let mut steps: VecDeque<Step> = if self.mutant == Some(Mutant::EnteredBeforeCopied) {
            enter.chain(stores).collect()
        } else {
            stores.chain(enter).collect()
        };
        steps.push_back(Step::Settle);
        let mut daemon = self.daemon.borrow_mut();
        for at in routes {
            daemon.routes[*at].get_or_insert_default().fresh = true;
        }
        daemon.making = Some(Making {
            row,
            from,
            computed_ns: copy.computed_ns,
            stores: steps,
        });
    }

    /// One store of the row that is being made.
    pub(super) fn make(&self) {
        let mut daemon = self.daemon.borrow_mut();
        let Some(making) = &mut daemon.making else {
            return;
        };
        let (row, from) = (making.row, making.from);
        let late = self.coarse_now() - making.computed_ns > Timers::MARGIN_NS / 2;
        let step = making.stores.front().copied();
        match step {
            Some(Step::Store(slot, store)) => {
                making.stores.pop_front();
                match store {
                    Store::Stamp(stamp, ns) => self.stamps[slot][stamp as usize].set(ns),
                    Store::Word(word) => {
                        self.words[slot].set(word);
                        self.versions[slot].set(self.versions[slot].get() + 1);
                        self.note(Note::Wrote(slot, word));
                    }
                }
            }
            // The copy is too old: it is made anew, for those that have no entry yet.
            Some(Step::Enter(_)) if late => daemon.making = None,
            Some(Step::Enter(at)) => {
                making.stores.pop_front();
                drop(daemon);
                self.enter(at, Some(row));
                let lifted =
                    |row: usize, slot: usize| self.lifted[row * NS + slot].borrow().clone();
                for slot in 0..NS {
                    *self.lifted[row * NS + slot].borrow_mut() = lifted(from, slot);
                    self.check_slot(row * NS + slot);
                }
            }
            Some(Step::Settle) => {
                if !self.grace(|_| true) {
                    return;
                }
                making.stores.pop_front();
                if self.mutant != Some(Mutant::CopiedWithoutStamps) {
                    let settle = route::settle(&self.row_words(row), self.coarse_now());
                    let slots = settle
                        .into_iter()
                        .map(|(slot, store)| (row * NS + slot as usize, store));
                    making
                        .stores
                        .extend(slots.map(|(slot, store)| Step::Store(slot, store)));
                }
                making.stores.push_back(Step::Done);
            }
            Some(Step::Done) => {
                for at in 0..PREFIXES.len() {
                    if self.entries.rows[at].get() == Some(row)
                        && let Some(wanted) = &mut daemon.routes[at]
                    {
                        wanted.fresh = false;
                    }
                }
                daemon.making = None;
                daemon.due = true;
                drop(daemon);
                self.report.borrow_mut().rows_opened += 1;
            }
            None => daemon.making = None,
        }
    }

    /// Longest prefix wins.
    fn look_up(&self, client: IpAddr) -> usize {
        (0..PREFIXES.len())
            .filter_map(|at| Some((prefix(at), self.entries.rows[at].get()?)))
            .filter(|(prefix, _)| prefix.contains(client))
            .max_by_key(|(prefix, _)| prefix.length())
            .map_or(0, |(_, row)| row)
    }

    fn enter(&self, at: usize, row: Option<usize>) {
        self.entries.rows[at].set(row);
        self.entries.version.set(self.entries.version.get() + 1);
        for (group, governing) in (0..).zip(&self.entries.governing) {
            governing.set(self.look_up(client(group * NS as u64)));
        }
        self.note(Note::Entry(at, row));
    }

    /// Entries of a row go whose routes leave, if it agrees with the covering one.
    fn close(&self, at: &[usize], routes: &[Route<u16>]) -> bool {
        for (at, leaving) in at.iter().zip(routes) {
            let (Some(row), None) = (leaving.row, leaving.version) else {
                continue;
            };
            let cover = route::cover(routes, &leaving.clients, 0) as usize;
            let (words, others) = (self.row_words(row as usize), self.row_words(cover));
            let current = |word: &SlotWord| word.current();
            let over = match self.mutant {
                Some(Mutant::LeavesAtOnce) => true,
                Some(Mutant::LeavesInTransition) => {
                    words.iter().map(current).eq(others.iter().map(current))
                }
                _ => route::agree(&words, &others),
            };
            if !over {
                continue;
            }
            for slot in 0..NS {
                let lifted = self.lifted[row as usize * NS + slot].borrow().clone();
                self.lifted[cover * NS + slot].borrow_mut().extend(lifted);
            }
            self.enter(*at, None);
            self.report.borrow_mut().rows_closed += 1;
            return true;
        }
        false
    }

    /// All rows are at rest as wanted, and what was to leave has left.
    pub(super) fn is_settled(&self) -> bool {
        self.forget_gone();
        let (_, routes) = self.routes();
        let routed = routes
            .iter()
            .all(|route| route.version.is_some() && route.row.is_some());
        routed
            && self.live_rows().into_iter().all(|row| {
                let wishes = self.row_wishes(row);
                let words = self.row_words(row);
                words.iter().zip(wishes).all(|(word, wish)| {
                    word.state() == SlotState::Steady && word.base() == wish.owner
                })
            })
    }
}
