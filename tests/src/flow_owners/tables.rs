//! The tables in memory. Every access first lets the rest of the world go on.

use super::report::Violation;
use super::world::{FIRST_BACKEND, NB, NW, World};
use splitter_common::abi::{Backend, Settings, SlotWord, Stamp};
use splitter_common::datapath::flow_table::{Kind, Record};
use splitter_common::datapath::tables::{FlowCells, SlotTables, StampCells};
use splitter_common::datapath::transition::Rules;

/// The tables as a packet sees them.
pub(super) struct Port<'w, R: Rules> {
    pub(super) world: &'w World<R>,
    /// A packet's accesses are hooked; those of a check are not.
    pub(super) hooked: bool,
}

/// Stamps of a slot.
pub(super) struct StampPort<'w, R: Rules> {
    port: Port<'w, R>,
    slot: usize,
}

/// A flow set.
pub(super) struct SetPort<'w, R: Rules> {
    port: Port<'w, R>,
    set: usize,
}

impl<R: Rules> Clone for Port<'_, R> {
    fn clone(&self) -> Self {
        Self {
            world: self.world,
            hooked: self.hooked,
        }
    }
}

impl<R: Rules> Port<'_, R> {
    fn hook(&self) {
        if self.hooked {
            self.world.between_accesses();
        }
    }
}

impl<R: Rules> StampCells for StampPort<'_, R> {
    fn load(&self, stamp: Stamp) -> u64 {
        self.port.hook();
        self.port.world.stamps[self.slot][stamp as usize].get()
    }

    fn store(&self, stamp: Stamp, ns: u64) {
        self.port.hook();
        self.port.world.stamps[self.slot][stamp as usize].set(ns);
    }
}

impl<R: Rules> FlowCells for SetPort<'_, R> {
    fn load(&self, word: usize) -> u64 {
        self.port.hook();
        self.port.world.table[8 * self.set + word].get()
    }

    fn store(&self, word: usize, value: u64) {
        self.port.hook();
        let world = self.port.world;
        watch_eviction(world, self.set, word, value);
        note_beginning(world, self.set, word, value);
        world.table[8 * self.set + word].set(value);
    }

    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        self.port.hook();
        let cell = &self.port.world.table[8 * self.set + word];
        let found = cell.get();
        if found == old {
            cell.set(new);
        }
        found
    }
}

/// I4: the entry of a live record of another flow is not written to, unless it is a pending one near its end.
fn watch_eviction<R: Rules>(world: &World<R>, set: usize, word: usize, value: u64) {
    let entry = 8 * set + (word & !1);
    let (a, b) = (world.table[entry].get(), world.table[entry + 1].get());
    let overwrites = word % 2 == 1 || (value ^ a) << 1 != 0;
    let Some(record) = Record::unpack(a, b).filter(|_| overwrites) else {
        return;
    };
    let tag = world.runs.borrow().last().map(|run| run.tag);
    // Word B goes first: where word A becomes another flow's, its own B is in place already.
    let judged = word % 2 == 1 || value << 1 == 0;
    if judged
        && tag != Some(record.tag)
        && record.is_live(world.coarse_now())
        && !record.gives_way(world.coarse_now())
    {
        world.structural(Violation::Evicted);
    }
}

/// Records become confirmed in place, so how one began is known from the kinds before.
fn note_beginning<R: Rules>(world: &World<R>, set: usize, word: usize, value: u64) {
    if word % 2 == 1 {
        return;
    }
    let beginning = &world.began_learned[4 * set + word / 2];
    match Record::unpack(value, 0).map(|record| record.kind) {
        Some(Kind::Learned) => beginning.set(true),
        Some(Kind::Pending) => beginning.set(false),
        Some(Kind::Confirmed) | None => {}
    }
}

impl<'w, R: Rules> SlotTables for Port<'w, R> {
    type Stamps = StampPort<'w, R>;
    type FlowSet = SetPort<'w, R>;

    fn now(&self) -> u64 {
        self.hook();
        self.world.coarse_now()
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.world.settings)
    }

    fn slot(&self, index: u32) -> Option<SlotWord> {
        self.hook();
        let slot = index as usize;
        assert!(slot < NW, "slot {slot}");
        if self.hooked
            && let Some(run) = self.world.runs.borrow_mut().last_mut()
        {
            run.read = Some(self.world.versions[slot].get());
        }
        Some(self.world.words[slot].get())
    }

    fn stamps(&self, index: u32) -> Option<Self::Stamps> {
        Some(StampPort {
            port: self.clone(),
            slot: index as usize,
        })
    }

    fn flow_set(&self, index: u32) -> Option<Self::FlowSet> {
        Some(SetPort {
            port: self.clone(),
            set: index as usize,
        })
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        self.hook();
        let number = index.wrapping_sub(FIRST_BACKEND) as usize;
        assert!(number < NB, "backend {index}");
        let alive = self.world.alive[number].get();
        Some(&self.world.backends[usize::from(alive)])
    }
}
