//! The daemon: the real rounds, carried out cell by cell, killed anywhere; deaths, drains, numbers used again.

use super::mutants::Mutant;
use super::report::{Note, Violation};
use super::routes::{Making, Wanted};
use super::world::{Event, FIRST_BACKEND, MS, NB, NS, NW, ROWS, S, T_IDLE, World};
use splitter::transition::{Cell, DrainStage, Round, SlotWrite, Timers, Wish, round};
use splitter_common::abi::{SlotState, SlotWord, Stamp};
use splitter_common::datapath::flow_table::Record;
use splitter_common::datapath::transition::Rules;
use std::collections::VecDeque;

pub(super) struct Daemon {
    running: bool,
    /// Of the default row. Survives a kill: it is on disk.
    pub(super) wishes: [Wish; NS],
    /// On disk, too.
    pub(super) routes: [Option<Wanted>; 3],
    /// Rows whose next round is at once.
    pub(super) hasty: [bool; ROWS],
    /// A row that is being made: nothing else is done meanwhile.
    pub(super) making: Option<Making>,
    /// A round is due.
    pub(super) due: bool,
    /// Cells of the round under way that are not written yet.
    queue: VecDeque<(usize, Cell)>,
    computed_ns: u64,
    /// `unlogged` of the slots as the round judged it.
    judged: [u64; NW],
    stages: [DrainStage; NB],
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            running: true,
            wishes: [Wish {
                owner: 0,
                at_once: false,
            }; NS],
            routes: [None; 3],
            hasty: [false; ROWS],
            making: None,
            due: false,
            queue: VecDeque::new(),
            computed_ns: 0,
            judged: [0; NW],
            stages: [DrainStage::Named; NB],
        }
    }
}

const TIMERS: Timers = Timers::of_idle(T_IDLE);

impl<R: Rules> World<R> {
    pub(super) fn tick(&self) {
        self.after(500 * MS + self.random.below(S), Event::Tick);
        self.daemon.borrow_mut().due = true;
        for slot in self.live_slots() {
            let word = self.words[slot].get();
            let silent = self.now.get() - self.stamps_of(slot).unlogged.min(self.now.get());
            let ripe = word.state() == SlotState::Track && silent >= T_IDLE + TIMERS.margin_ns;
            if (ripe || word.state() == SlotState::Handover)
                && !self.winding_down.get()
                && self.random.percent(70)
            {
                self.ambush(slot);
            }
        }
        // Until then a packet may meet it at work.
        self.after(self.random.below(300 * MS), Event::Poke);
    }

    /// One thing after the other until the round is done.
    pub(super) fn poke_again(&self) {
        self.poke();
        let daemon = self.daemon.borrow();
        let busy = daemon.due || daemon.making.is_some() || !daemon.queue.is_empty();
        if daemon.running && busy {
            drop(daemon);
            self.after(self.random.below(20 * MS), Event::Poke);
        }
    }

    /// The daemon does one thing: begins a round, or writes a cell.
    pub(super) fn poke(&self) {
        let held = self.held.get() && !self.winding_down.get();
        if held || !self.daemon.borrow().running {
            return;
        }
        if !self.winding_down.get() && self.random.once_in(400) {
            return self.kill();
        }
        let front = self.daemon.borrow().queue.front().copied();
        if self.daemon.borrow().making.is_some()
            && (front.is_none() || self.mutant != Some(Mutant::CoverMovesMeanwhile))
        {
            self.make();
            if self.mutant == Some(Mutant::CoverMovesMeanwhile) && self.random.percent(30) {
                self.rounds();
            }
            return;
        }
        // Mostly while a packet is under way: that is when it matters.
        if self.runs.borrow().is_empty() && self.random.percent(85) {
            return;
        }
        match front {
            Some((slot, cell)) => self.write(slot, cell),
            None if self.daemon.borrow().due => self.begin_round(),
            None => {}
        }
    }

    /// Whether every run under way has read the word that stands in its slot.
    pub(super) fn grace(&self, of: impl Fn(usize) -> bool) -> bool {
        self.mutant == Some(Mutant::NoGracePeriod)
            || self.runs.borrow().iter().all(|run| {
                !of(run.slot)
                    || run.looked == self.entries.version.get()
                        && run
                            .read
                            .is_none_or(|version| version == self.versions[run.slot].get())
            })
    }

    fn begin_round(&self) {
        if self.grace(|_| true) && !self.tend_routes() {
            self.rounds();
        }
    }

    /// A round of every row that packets may be led to.
    fn rounds(&self) {
        let stamps: [_; NW] = std::array::from_fn(|slot| self.stamps_of(slot));
        let mut timers = TIMERS;
        if self.mutant == Some(Mutant::SettleTooEarly) {
            timers.idle_ns /= 2;
        }
        let now = self.coarse_now();
        let alive = |backend: u16| self.alive[backend as usize].get();
        let mut cells = VecDeque::new();
        for row in self.live_rows() {
            let words = self.row_words(row);
            let mut work = round(
                &words,
                &stamps[row * NS..(row + 1) * NS],
                &self.row_wishes(row),
                true,
                &timers,
                now,
                &alive,
            );
            if let Some(mutant) = self.mutant {
                mutant.distort(&mut work, &words);
            }
            for write in &work.writes {
                let mut stores: Vec<_> = cells_of(row, write).collect();
                if self.mutant == Some(Mutant::WordBeforeStamps) {
                    stores.reverse();
                }
                cells.extend(stores);
            }
        }
        let words: Vec<SlotWord> = self
            .live_slots()
            .iter()
            .map(|slot| self.words[*slot].get())
            .collect();
        self.advance_drains(&words);
        let mut daemon = self.daemon.borrow_mut();
        daemon.hasty = [false; ROWS];
        // A wish for one round.
        daemon
            .wishes
            .iter_mut()
            .for_each(|wish| wish.at_once = false);
        // Where there was work, the next round follows at once, as soon as a grace period has passed.
        daemon.due = !cells.is_empty() && self.random.percent(50);
        daemon.queue = cells;
        daemon.computed_ns = now;
        daemon.judged = stamps.map(|stamps| stamps.unlogged);
    }

    fn write(&self, slot: usize, cell: Cell) {
        let round = Round {
            computed_ns: self.daemon.borrow().computed_ns,
            writes: Vec::new(),
        };
        if round.is_stale(&TIMERS, self.coarse_now()) {
            self.daemon.borrow_mut().queue.clear();
            return;
        }
        if matches!(cell, Cell::Word(_)) && !self.grace(|other| other == slot) {
            return;
        }
        self.daemon.borrow_mut().queue.pop_front();
        match cell {
            Cell::Stamp(stamp, ns) => {
                self.stamps[slot][stamp as usize].set(ns);
                if stamp == Stamp::BareSyn && ns == 0 {
                    self.lifted[slot].borrow_mut().push(self.now.get());
                }
            }
            Cell::Word(word) => {
                let before = self.words[slot].get();
                self.words[slot].set(word);
                self.versions[slot].set(self.versions[slot].get() + 1);
                if self.stamps_of(slot).bare_syn == 0 {
                    self.lifted[slot].borrow_mut().push(self.now.get());
                }
                self.note(Note::Wrote(slot, word));
                self.check_base_moved(slot, before, word);
                if before.state() == SlotState::Handover && word.state() == SlotState::Residue {
                    self.report.borrow_mut().handovers += 1;
                }
                self.check_slot(slot);
                if word.state() == SlotState::Handover && self.random.percent(50) {
                    self.after(self.random.below(20 * MS), Event::Ambush(slot));
                }
            }
        }
    }

    pub(super) fn kill(&self) {
        self.report.borrow_mut().kills += 1;
        self.note(Note::Killed);
        let mut daemon = self.daemon.borrow_mut();
        daemon.running = false;
        daemon.queue.clear();
        daemon.making = None;
        // What it had seen of drains was in its own memory.
        daemon.stages = [DrainStage::Named; NB];
        daemon.hasty = [false; ROWS];
        drop(daemon);
        self.after(self.random.below(15 * S), Event::Restart);
    }

    pub(super) fn restart(&self) {
        self.daemon.borrow_mut().running = true;
    }

    /// A ramp, a roll-back, or everything at once.
    pub(super) fn change(&self) {
        let delay = self
            .random
            .pick(&[500 * MS, 3 * S, 20 * S, 45 * S, 70 * S, 70 * S]);
        self.after(delay / 2 + self.random.below(delay), Event::Change);
        let able = self.able();
        let owner = self.random.pick(&able);
        let back = self.random.percent(25);
        let share = self.random.pick(&[25, 50, 75, 100]);
        let at_once = self.random.percent(12);
        for slot in 0..NS {
            if self.random.percent(share) {
                let base = self.words[slot].get().base();
                let owner = if back && able.contains(&base) {
                    base
                } else {
                    owner
                };
                self.daemon.borrow_mut().wishes[slot] = Wish { owner, at_once };
            }
        }
        if self.random.percent(20) {
            self.kill();
        }
    }

    /// A backend dies; the daemon hears of it later.
    pub(super) fn die(&self) {
        let up = self.able();
        if up.len() > 2 {
            let backend = self.random.pick(&up);
            self.up[backend as usize].set(false);
            self.after(self.random.below(3 * S), Event::Notice(backend));
        }
    }

    pub(super) fn notice(&self, backend: u16) {
        self.alive[backend as usize].set(false);
        let heirs = self.able();
        let mut daemon = self.daemon.borrow_mut();
        daemon.due = true;
        daemon.stages[backend as usize] = DrainStage::Named;
        for wish in &mut daemon.wishes {
            if wish.owner == backend {
                wish.owner = self.random.pick(&heirs);
            }
        }
        drop(daemon);
        self.reroute(backend, &heirs);
    }

    fn advance_drains(&self, words: &[SlotWord]) {
        for number in 0..NB as u16 {
            let backend = number as usize;
            let named = words
                .iter()
                .any(|word| word.base() == number || word.current() == number);
            let records = self.live_records(number);
            let stage = self.daemon.borrow().stages[backend].advance(named, records);
            self.daemon.borrow_mut().stages[backend] = stage;
            let wanted = self
                .daemon
                .borrow()
                .wishes
                .iter()
                .any(|wish| wish.owner == number)
                || self.is_routed_to(number);
            if stage != DrainStage::Drained || wanted || self.winding_down.get() {
                continue;
            }
            let (up, alive) = (self.up[backend].get(), self.alive[backend].get());
            if up && alive && self.able().len() > 2 && self.random.percent(10) {
                self.note(Note::Drained(number));
                self.check_drained(number);
                self.up[backend].set(false);
                self.alive[backend].set(false);
            } else if !up && !alive && self.random.percent(20) {
                // Another backend gets the number.
                self.generation[backend].set(self.generation[backend].get() + 1);
                self.up[backend].set(true);
                self.alive[backend].set(true);
                self.report.borrow_mut().reused += 1;
            }
        }
    }

    fn live_records(&self, number: u16) -> u64 {
        let index = FIRST_BACKEND as u16 + number;
        let now = self.coarse_now();
        self.table
            .as_chunks::<2>()
            .0
            .iter()
            .filter_map(|[a, b]| Record::unpack(a.get(), b.get()))
            .filter(|record| record.backend == index && record.is_live(now))
            .count() as u64
    }

    /// I3, by what the round had read: what wakes up between its look and its write had been silent for too long.
    fn check_base_moved(&self, slot: usize, before: SlotWord, after: SlotWord) {
        if before.base() == after.base() || !self.alive[before.base() as usize].get() {
            return;
        }
        let daemon = self.daemon.borrow();
        let silent = daemon.computed_ns.saturating_sub(daemon.judged[slot]);
        drop(daemon);
        if before.state() != SlotState::Handover || silent < TIMERS.idle_ns + TIMERS.margin_ns {
            self.structural(Violation::BaseMoved);
        }
    }

    /// Backends that can take flows.
    pub(super) fn able(&self) -> Vec<u16> {
        (0..NB as u16)
            .filter(|b| self.up[*b as usize].get() && self.alive[*b as usize].get())
            .collect()
    }
}

fn cells_of(row: usize, write: &SlotWrite) -> impl Iterator<Item = (usize, Cell)> {
    let slot = row * NS + write.slot as usize;
    write.cells().map(move |cell| (slot, cell))
}
