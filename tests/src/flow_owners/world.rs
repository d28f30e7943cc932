//! The world: time, what happens next, memory, and who is where.

use super::Wire;
use super::clients::{Flow, KEYS};
use super::daemon::Daemon;
use super::mutants::Mutant;
use super::random::{Random, mix};
use super::report::{Note, Report, Violation};
use super::routes::{Entries, GROUPS};
use super::tables::Port;
use splitter_common::abi::{Backend, Counter, Flows, Service, Settings, SlotWord, Stamps};
use splitter_common::datapath::flow_table::PENDING_SPARE_NS;
use splitter_common::datapath::transition::{Arrival, Rules, Segment, choose_by};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::marker::PhantomData;

pub(super) const S: u64 = 1_000_000_000;
pub(super) const MS: u64 = 1_000_000;
/// Slots of a row.
pub(super) const NS: usize = 4;
/// Rows: the default one and those of routes.
pub(super) const ROWS: usize = 5;
/// Slots of all rows.
pub(super) const NW: usize = NS * ROWS;
/// Backends.
pub(super) const NB: usize = 4;
/// Index of backend 0 in `BACKENDS`.
pub(super) const FIRST_BACKEND: u32 = 70;
pub(super) const T_IDLE: u64 = 20 * S;
pub(super) const PREPARE: u64 = 5 * S;
/// When clocks start: an uptime, so that a stamp of 0 is long past.
const START: u64 = 100_000 * S;
const LENGTH: u64 = 160 * S;
const KEPT_NOTES: usize = 40;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Start,
    /// The client of an ambush dials: until then the daemon held back.
    Victim(u64),
    Syn(usize, u8),
    Copy(usize),
    SynAck(usize, u16),
    Data(usize),
    Datagram(usize),
    Extra(usize),
    HalfClosed(usize),
    Gone(usize),
    Attack,
    Ambush(usize),
    Evil(u8),
    Change,
    Route,
    Expire(usize),
    Tick,
    Poke,
    Restart,
    Die,
    Notice(u16),
}

/// A packet that is being worked on.
pub(super) struct Run {
    pub(super) slot: usize,
    pub(super) tag: u64,
    /// Version of the slot's word that it read.
    pub(super) read: Option<u32>,
    /// Version of the routes that it looked up its slot in.
    pub(super) looked: u32,
}

pub(super) struct World<R: Rules> {
    pub(super) random: Random,
    pub(super) wire: Wire,
    pub(super) now: Cell<u64>,
    heap: RefCell<BinaryHeap<Reverse<(u64, u64, Event)>>>,
    order: Cell<u64>,
    pub(super) winding_down: Cell<bool>,
    /// The daemon waits for the client of an ambush.
    pub(super) held: Cell<bool>,
    // Memory.
    pub(super) words: [Cell<SlotWord>; NW],
    pub(super) versions: [Cell<u32>; NW],
    pub(super) stamps: [[Cell<u64>; 3]; NW],
    pub(super) entries: Entries,
    pub(super) table: Vec<Cell<u64>>,
    /// Whether the record of an entry began as learned, confirmed since or not.
    pub(super) began_learned: Vec<Cell<bool>>,
    pub(super) settings: Settings,
    pub(super) service: Service,
    /// What a dead backend's entry looks like, and a live one's.
    pub(super) backends: [Backend; 2],
    /// The `ALIVE` flags.
    pub(super) alive: [Cell<bool>; NB],
    // The truth.
    pub(super) up: [Cell<bool>; NB],
    pub(super) generation: [Cell<u32>; NB],
    pub(super) flows: RefCell<Vec<Flow>>,
    pub(super) live: RefCell<[Option<usize>; KEYS as usize]>,
    /// When a SYN of another connection came by, by key: time and sequence number.
    pub(super) other_syns: RefCell<Vec<Vec<(u64, u32)>>>,
    /// When a change with `--now` lifted the freeze, by slot.
    pub(super) lifted: [RefCell<Vec<u64>>; NW],
    pub(super) runs: RefCell<Vec<Run>>,
    pub(super) daemon: RefCell<Daemon>,
    pub(super) mutant: Option<Mutant>,
    pub(super) report: RefCell<Report>,
    notes: RefCell<VecDeque<(u64, usize, Note)>>,
    rules: PhantomData<R>,
}

impl<R: Rules> World<R> {
    pub(super) fn new(seed: u64, wire: Wire, mutant: Option<Mutant>) -> Self {
        let random = Random::new(seed);
        let sets = random.pick(&[2_u32, 4, 8, 8, 16, 32]);
        Self {
            wire,
            now: Cell::new(START),
            heap: RefCell::default(),
            order: Cell::new(0),
            winding_down: Cell::new(false),
            held: Cell::new(false),
            words: std::array::from_fn(|_| Cell::new(SlotWord::steady(0))),
            versions: std::array::from_fn(|_| Cell::new(0)),
            stamps: std::array::from_fn(|_| std::array::from_fn(|_| Cell::new(0))),
            entries: Entries::default(),
            table: (0..8 * sets).map(|_| Cell::new(0)).collect(),
            began_learned: (0..4 * sets).map(|_| Cell::new(false)).collect(),
            settings: Settings {
                flow_set_mask: sets - 1,
                ..Settings::default()
            },
            service: Service {
                prepare_ns: PREPARE,
                record_ns: T_IDLE,
                pending_ns: PENDING_SPARE_NS + PREPARE,
                fin_ns: 6 * S,
                window: 1 << 15,
                flows: match wire {
                    Wire::Tcp => Flows::Hash,
                    Wire::Udp => Flows::Track,
                } as u8,
                slot_mask: NS as u32 - 1,
                first_backend: FIRST_BACKEND,
                backend_count: NB as u32,
                ..Service::default()
            },
            backends: [0, Backend::ALIVE].map(|flags| Backend {
                flags,
                ..Backend::default()
            }),
            alive: std::array::from_fn(|_| Cell::new(true)),
            up: std::array::from_fn(|_| Cell::new(true)),
            generation: std::array::from_fn(|_| Cell::new(0)),
            flows: RefCell::default(),
            live: RefCell::new([None; KEYS as usize]),
            other_syns: RefCell::new(vec![Vec::new(); KEYS as usize]),
            lifted: std::array::from_fn(|_| RefCell::default()),
            runs: RefCell::default(),
            daemon: RefCell::default(),
            mutant,
            report: RefCell::default(),
            notes: RefCell::default(),
            rules: PhantomData,
            random,
        }
    }

    pub(super) fn run(self) -> Report {
        for _ in 0..40 {
            self.after(self.random.below(20 * S), Event::Start);
        }
        self.after(S, Event::Tick);
        self.after(5 * S + self.random.below(15 * S), Event::Change);
        self.after(self.random.below(40 * S), Event::Route);
        self.after(5 * S + self.random.below(100 * S), Event::Attack);
        self.after(40 * S + self.random.below(160 * S), Event::Die);
        while self.failed().is_none() && self.now.get() < START + LENGTH {
            let Some(Reverse((at, _, event))) = self.heap.borrow_mut().pop() else {
                break;
            };
            self.now.set(at.max(self.now.get()));
            self.happen(event);
            self.check_quick();
        }
        if self.failed().is_none() {
            self.wind_down();
        }
        self.report.into_inner()
    }

    /// All flows end; the daemon alone goes on: every slot must come to rest with the owner that is wanted.
    fn wind_down(&self) {
        self.winding_down.set(true);
        self.live.borrow_mut().fill(None);
        self.restart();
        let end = self.now.get() + 2 * (T_IDLE + 2 * S) + 30 * S;
        while self.failed().is_none() && self.now.get() < end {
            let Some(Reverse((at, _, event))) = self.heap.borrow_mut().pop() else {
                break;
            };
            self.now.set(at.max(self.now.get()));
            if matches!(event, Event::Tick | Event::Poke | Event::Notice(_)) {
                self.happen(event);
            }
        }
        if !self.is_settled() {
            self.fail(Violation::Unsettled);
        }
    }

    pub(super) fn after(&self, delay: u64, event: Event) {
        self.order.set(self.order.get() + 1);
        let entry = (self.now.get() + delay, self.order.get(), event);
        self.heap.borrow_mut().push(Reverse(entry));
    }

    fn happen(&self, event: Event) {
        if !matches!(event, Event::Poke | Event::Tick | Event::Evil(_)) {
            self.note(Note::Did(event));
        }
        match event {
            Event::Start => self.start(),
            Event::Victim(key) => self.victim(key),
            Event::Syn(flow, attempt) => self.syn(flow, attempt),
            Event::Copy(flow) => self.deliver_syn(flow),
            Event::SynAck(flow, backend) => self.syn_ack(flow, backend),
            Event::Data(flow) => self.data(flow, Segment::Payload),
            Event::Datagram(flow) => self.datagram(flow, true),
            Event::Extra(flow) => self.datagram(flow, false),
            Event::HalfClosed(flow) => self.half_closed(flow),
            Event::Gone(flow) => self.gone(flow),
            Event::Attack => self.attack(),
            Event::Ambush(slot) => self.ambush(slot),
            Event::Evil(kind) => self.evil(kind),
            Event::Change => self.change(),
            Event::Route => self.route(),
            Event::Expire(route) => self.expire(route),
            Event::Tick => self.tick(),
            Event::Poke => self.poke_again(),
            Event::Restart => self.restart(),
            Event::Die => self.die(),
            Event::Notice(backend) => self.notice(backend),
        }
    }

    /// Between two accesses of a packet: others run to their end, or the daemon does a thing.
    pub(super) fn between_accesses(&self) {
        if self.runs.borrow().len() > 3 || self.failed().is_some() {
            return;
        }
        match self.random.below(24) {
            0 => self.nested_packet(),
            1..=3 => {
                // Now and then the daemon is much faster than the packet.
                for _ in 0..self.random.pick(&[1, 1, 1, 10]) {
                    self.poke();
                }
            }
            _ => {}
        }
    }

    /// What is due in the next 200 ms and is a packet may as well come now.
    fn nested_packet(&self) {
        let next = self.heap.borrow_mut().pop();
        let Some(Reverse((at, order, event))) = next else {
            return;
        };
        let packet = matches!(
            event,
            Event::Syn(..)
                | Event::Copy(_)
                | Event::SynAck(..)
                | Event::Data(_)
                | Event::Datagram(_)
                | Event::Extra(_)
                | Event::Evil(_)
        );
        if packet && at <= self.now.get() + 200 * MS {
            self.report.borrow_mut().nested += 1;
            self.happen(event);
        } else {
            self.heap.borrow_mut().push(Reverse((at, order, event)));
        }
    }

    /// The clock of the packet path ticks every 4 ms.
    pub(super) fn coarse_now(&self) -> u64 {
        self.now.get() / (4 * MS) * (4 * MS)
    }

    /// A packet goes through the real code.
    pub(super) fn send(&self, key: u64, segment: Segment, sequence: u32) -> Result<u16, Counter> {
        let slot = self.slot_of(key);
        let arrival = Arrival {
            flow_hash: hash_of(key),
            slot: slot as u32,
            segment,
            sequence,
        };
        self.runs.borrow_mut().push(Run {
            slot,
            looked: self.entries.version.get(),
            tag: splitter_common::datapath::flow_table::tag_of(arrival.flow_hash),
            read: None,
        });
        let port = Port {
            world: self,
            hooked: true,
        };
        let result = choose_by::<R, _>(&port, &self.service, &arrival);
        self.runs.borrow_mut().pop();
        let mut report = self.report.borrow_mut();
        report.packets += 1;
        report.handover_drops += u64::from(result == Err(Counter::DropHandover));
        report.busy_drops += u64::from(result == Err(Counter::DropBusy));
        drop(report);
        if key < KEYS {
            self.note(Note::Packet(key, segment, sequence, result));
        }
        result
    }

    pub(super) fn stamps_of(&self, slot: usize) -> Stamps {
        let [unlogged, bare_syn, foreign] = &self.stamps[slot];
        Stamps {
            unlogged: unlogged.get(),
            bare_syn: bare_syn.get(),
            foreign: foreign.get(),
            reserved: 0,
        }
    }

    pub(super) fn note(&self, note: Note) {
        let mut notes = self.notes.borrow_mut();
        if notes.len() == KEPT_NOTES {
            notes.pop_front();
        }
        notes.push_back((self.now.get(), self.runs.borrow().len(), note));
    }

    pub(super) fn failed(&self) -> Option<Violation> {
        self.report.borrow().violation.as_ref().map(|found| found.0)
    }

    pub(super) fn fail(&self, violation: Violation) {
        if self.failed().is_some() {
            return;
        }
        let mut story: Vec<String> = self
            .notes
            .borrow()
            .iter()
            .map(|(at, depth, note)| {
                let seconds = (at - START) as f64 / 1e9;
                format!("{seconds:9.3} {:depth$}{note}", "")
            })
            .collect();
        for slot in self.live_slots() {
            let word = self.words[slot].get();
            story.push(format!(
                "slot {slot}: {:?} base {} current {} {:?}",
                word.state(),
                word.base(),
                word.current(),
                self.stamps_of(slot)
            ));
        }
        self.report.borrow_mut().violation = Some((violation, story));
    }

    /// An invariant of the structure: mutants must be caught by what they do to flows, not by these.
    pub(super) fn structural(&self, violation: Violation) {
        if self.mutant.is_none() {
            self.fail(violation);
        }
    }
}

/// Slot and group of clients lie in the low bits, so that a record tells both.
pub(super) fn hash_of(key: u64) -> u64 {
    const KEPT: u64 = NS as u64 * GROUPS;
    mix(key.wrapping_add(0x1234_5678)) & !(KEPT - 1) | (key % KEPT)
}
