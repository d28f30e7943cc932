//! One slot, one flow set.

use splitter_common::abi::{Backend, Counter, Service, Settings, SlotState, SlotWord, Stamp};
use splitter_common::datapath::flow_table::{self as flows, Kind, Record, tick};
use splitter_common::datapath::tables::{FlowCells, SlotTables, StampCells};
use splitter_common::datapath::transition::{Arrival, Segment, choose};
use std::cell::Cell;

pub(crate) const S: u64 = 1_000_000_000;
pub(crate) const NOW: u64 = 10_000 * S;
pub(crate) const FIRST: u32 = 500;
pub(crate) const HASH: u64 = 0x0123_4567_89ab_cdef;
pub(crate) const LOCK: u64 = 1 << 63;
pub(crate) const DEAD: u16 = 7;

pub(crate) struct Memory {
    pub(crate) word: SlotWord,
    pub(crate) stamps: [Cell<u64>; 3],
    pub(crate) set: [Cell<u64>; 8],
    settings: Settings,
    backends: [Backend; 2],
}

pub(crate) struct StampRow<'m>(&'m Memory);
pub(crate) struct Set<'m>(pub(crate) &'m Memory);
pub(crate) struct View<'m>(pub(crate) &'m Memory);

impl StampCells for StampRow<'_> {
    fn load(&self, stamp: Stamp) -> u64 {
        self.0.stamps[stamp as usize].get()
    }
    fn store(&self, stamp: Stamp, ns: u64) {
        self.0.stamps[stamp as usize].set(ns);
    }
}

impl FlowCells for Set<'_> {
    fn load(&self, word: usize) -> u64 {
        self.0.set[word].get()
    }
    fn store(&self, word: usize, value: u64) {
        self.0.set[word].set(value);
    }
    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        let found = self.0.set[word].get();
        if found == old {
            self.0.set[word].set(new);
        }
        found
    }
}

impl<'m> SlotTables for View<'m> {
    type Stamps = StampRow<'m>;
    type FlowSet = Set<'m>;
    fn now(&self) -> u64 {
        NOW
    }
    fn settings(&self) -> Option<&Settings> {
        Some(&self.0.settings)
    }
    fn slot(&self, _: u32) -> Option<SlotWord> {
        Some(self.0.word)
    }
    fn stamps(&self, _: u32) -> Option<Self::Stamps> {
        Some(StampRow(self.0))
    }
    fn flow_set(&self, _: u32) -> Option<Self::FlowSet> {
        Some(Set(self.0))
    }
    fn backend(&self, index: u32) -> Option<&Backend> {
        Some(&self.0.backends[usize::from(index != FIRST + u32::from(DEAD))])
    }
}

pub(crate) fn service() -> Service {
    Service {
        prepare_ns: 3 * S,
        record_ns: 300 * S,
        pending_ns: 10 * S,
        fin_ns: 6 * S,
        window: 32_768,
        first_backend: FIRST,
        backend_count: 10,
        ..Service::default()
    }
}

impl Memory {
    /// A slot whose stamps are long past, and an empty set.
    pub(crate) fn new(state: SlotState, base: u16, current: u16) -> Self {
        Self {
            word: SlotWord::new(state, base, current),
            stamps: Default::default(),
            set: Default::default(),
            settings: Settings::default(),
            backends: [0, Backend::ALIVE].map(|flags| Backend {
                flags,
                ..Backend::default()
            }),
        }
    }

    /// The last SYN without a record went by just now.
    pub(crate) fn frozen(self) -> Self {
        self.stamps[Stamp::BareSyn as usize].set(NOW - S);
        self
    }

    pub(crate) fn with(self, record: Record) -> Self {
        let entry = (0..4).find(|entry| self.set[2 * entry].get() == 0);
        let word = 2 * entry.expect("room in the set");
        let (a, b) = record.pack();
        self.set[word].set(a);
        self.set[word + 1].set(b);
        self
    }

    /// Records of other flows: two pending ones, two learned ones.
    pub(crate) fn full(self) -> Self {
        let other = |tag, kind| Record {
            tag,
            ..record(kind, 4, S)
        };
        self.with(other(1, Kind::Pending))
            .with(other(2, Kind::Pending))
            .with(other(3, Kind::Learned))
            .with(other(4, Kind::Learned))
    }

    /// Four confirmed records of other flows.
    pub(crate) fn taken(self) -> Self {
        (1..5).fold(self, |memory, tag| {
            memory.with(Record {
                tag,
                ..record(Kind::Confirmed, 4, S)
            })
        })
    }

    pub(crate) fn send(&self, segment: Segment, sequence: u32) -> Result<u16, Counter> {
        let arrival = Arrival {
            flow_hash: HASH,
            slot: 0,
            segment,
            sequence,
        };
        let result = choose(&View(self), &service(), &arrival);
        assert_eq!(self.set[0].get() & LOCK, 0, "the lock is given back");
        result
    }

    /// The flow's own records.
    pub(crate) fn own(&self) -> Vec<Record> {
        let words: [u64; 8] = std::array::from_fn(|word| self.set[word].get());
        flows::records(&words)
            .filter(|record| record.tag == flows::tag_of(HASH))
            .collect()
    }

    /// The stamps that were set to the time of the packet: unlogged, bare SYN, foreign.
    pub(crate) fn stamped(&self) -> [bool; 3] {
        [0, 1, 2].map(|stamp| self.stamps[stamp].get() == NOW)
    }
}

/// A record of the flow in question, last seen `age` ago; a pending one is of SYN 1,000.
pub(crate) fn record(kind: Kind, backend: u16, age: u64) -> Record {
    let pending = kind == Kind::Pending;
    let life = if pending { 10 * S } else { 300 * S };
    Record {
        kind,
        closing: false,
        tag: flows::tag_of(HASH),
        backend: FIRST as u16 + backend,
        deadline: tick(NOW - age + life),
        low: if pending { 1_000 } else { tick(NOW - age) },
    }
}

/// A confirmed record of backend 2 that saw a FIN.
pub(crate) fn closing(age: u64) -> Record {
    Record {
        closing: true,
        ..record(Kind::Confirmed, 2, age)
    }
}
