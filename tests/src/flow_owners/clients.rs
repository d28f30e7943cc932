//! Clients: what flows do and what they expect.

use super::Wire;
use super::report::Violation;
use super::world::{Event, MS, PREPARE, S, T_IDLE, World};
use splitter_common::abi::{Counter, SlotState};
use splitter_common::datapath::transition::{Rules, Segment};
use std::cell::Cell;

/// 5-tuples that clients use.
pub(super) const KEYS: u64 = 60;
/// Flows at a time.
const MOST_LIVE: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Short,
    Long,
    Bulk,
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Established,
}

#[derive(Clone)]
pub(super) struct Flow {
    pub(super) key: u64,
    pub(super) initial: u32,
    pub(super) sequence: u32,
    pub(super) stage: Stage,
    habit: Habit,
    /// Whose SYN-ACK the client accepted.
    pub(super) backend: u16,
    pub(super) generation: u32,
    pub(super) began: u64,
    pub(super) ends: u64,
    /// Last packet that was let through.
    pub(super) last: u64,
    /// Last time that a copy of its SYN came by.
    pub(super) last_syn: u64,
    /// A packet of it reached its backend.
    pub(super) proven: bool,
    /// Was silent for longer than promised.
    pub(super) exempt: bool,
    /// A spoofed SYN and a packet in its window hit the 5-tuple.
    pub(super) paired: bool,
    /// A spoofed payload hit the handshake.
    pub(super) crossed: bool,
}

impl<R: Rules> World<R> {
    pub(super) fn start(&self) {
        let crowded = self.live.borrow().iter().flatten().count() >= MOST_LIVE;
        self.after(
            if crowded {
                S
            } else {
                self.random.below(1_300 * MS)
            },
            Event::Start,
        );
        self.begin(self.random.below(KEYS));
    }

    /// A client dials into an ambush: its first SYN is neither lost nor copied, and meets the daemon at work.
    pub(super) fn victim(&self, key: u64) {
        let before = self.flows.borrow().len();
        self.begin(key);
        self.held.set(false);
        if self.flows.borrow().len() > before {
            match self.wire {
                Wire::Tcp => self.deliver_syn(before),
                Wire::Udp => self.datagram(before, false),
            }
        }
    }

    /// A client dials, if its 5-tuple is free.
    pub(super) fn begin(&self, key: u64) {
        if self.live.borrow()[key as usize].is_some() {
            return;
        }
        let initial = self.random.bits() as u32;
        let now = self.now.get();
        let flow = Flow {
            key,
            initial,
            sequence: initial.wrapping_add(1),
            stage: Stage::Connecting,
            habit: self.random.pick(&[
                Habit::Short,
                Habit::Long,
                Habit::Long,
                Habit::Bulk,
                Habit::Idle,
            ]),
            backend: 0,
            generation: 0,
            began: now,
            ends: now + self.random.pick(&[1, 5, 40, 150, 400]) * S,
            last: now,
            last_syn: now,
            proven: false,
            exempt: false,
            paired: false,
            crossed: false,
        };
        let id = self.flows.borrow().len();
        self.flows.borrow_mut().push(flow);
        self.live.borrow_mut()[key as usize] = Some(id);
        self.other_syns.borrow_mut()[key as usize].retain(|(at, _)| now - at < 60 * S);
        if self.wire == Wire::Udp {
            return self.after(0, Event::Datagram(id));
        }
        for (attempt, delay) in (0..).zip([0, 1, 3, 7]) {
            self.after(delay * S, Event::Syn(id, attempt));
        }
    }

    pub(super) fn flow(&self, id: usize) -> Flow {
        self.flows.borrow()[id].clone()
    }

    pub(super) fn change_flow(&self, id: usize, change: impl FnOnce(&mut Flow)) {
        change(&mut self.flows.borrow_mut()[id]);
    }

    pub(super) fn is_live(&self, id: usize) -> bool {
        let key = self.flows.borrow()[id].key;
        self.live.borrow()[key as usize] == Some(id)
    }

    pub(super) fn gone(&self, id: usize) {
        if self.is_live(id) {
            let key = self.flows.borrow()[id].key;
            self.live.borrow_mut()[key as usize] = None;
        }
    }

    pub(super) fn syn(&self, id: usize, attempt: u8) {
        if !self.is_live(id) || self.flow(id).stage != Stage::Connecting {
            return;
        }
        if attempt == 3 && self.random.percent(50) {
            return self.gone(id);
        }
        if self.random.percent(10) {
            return;
        }
        if self.random.percent(15) {
            self.after(self.random.below(PREPARE * 9 / 10), Event::Copy(id));
        }
        self.deliver_syn(id);
    }

    /// A copy of the flow's SYN comes by, maybe long after the connection is over.
    pub(super) fn deliver_syn(&self, id: usize) {
        let flow = self.flow(id);
        let now = self.now.get();
        let ours = self.is_live(id);
        if ours {
            self.change_flow(id, |flow| flow.last_syn = now);
        } else {
            self.other_syns.borrow_mut()[flow.key as usize].push((now, flow.initial));
        }
        let slot = self.slot_of(flow.key);
        let alive: Vec<bool> = self.alive.iter().map(Cell::get).collect();
        let (word, version) = (self.words[slot].get(), self.versions[slot].get());
        let Ok(backend) = self.send(flow.key, Segment::Syn, flow.initial) else {
            return;
        };
        let named = word.base() == backend || word.current() == backend;
        let still = version == self.versions[slot].get() && slot == self.slot_of(flow.key);
        if !named && !alive[backend as usize] && still {
            self.fail(Violation::Stranded);
        }
        let answered = ours
            && self.is_live(id)
            && self.up[backend as usize].get()
            && self.flow(id).stage == Stage::Connecting
            && self.random.percent(85);
        if answered {
            let slowest = self.random.pick(&[100, 100, 2_000]) * MS;
            let delay = 10 * MS + self.random.below(slowest);
            self.after(delay, Event::SynAck(id, backend));
        }
    }

    /// The client accepts the first SYN-ACK that arrives.
    pub(super) fn syn_ack(&self, id: usize, backend: u16) {
        if !self.is_live(id) || self.flow(id).stage != Stage::Connecting {
            return;
        }
        let generation = self.generation[backend as usize].get();
        let now = self.now.get();
        self.change_flow(id, |flow| {
            flow.stage = Stage::Established;
            flow.backend = backend;
            flow.generation = generation;
            flow.last = now;
        });
        self.report.borrow_mut().established += 1;
        self.data(id, Segment::Payload);
    }

    pub(super) fn pause(&self, flow: &Flow) -> u64 {
        let luck = self.random.below(100);
        if flow.habit == Habit::Idle && luck < 15 {
            return T_IDLE + T_IDLE / 20 + self.random.below(T_IDLE * 6 / 10);
        }
        if matches!(flow.habit, Habit::Long | Habit::Idle) && luck < 50 {
            return self.random.below(T_IDLE * 97 / 100);
        }
        50 * MS + self.random.below(2 * S)
    }

    pub(super) fn data(&self, id: usize, mut segment: Segment) {
        if !self.is_live(id) {
            return;
        }
        let before = self.flow(id);
        let now = self.now.get();
        if segment == Segment::Payload && now > before.ends {
            if self.random.percent(25) {
                return self.gone(id);
            }
            segment = self
                .random
                .pick(&[Segment::Fin, Segment::Fin, Segment::Reset]);
        }
        if now - before.last > T_IDLE {
            self.change_flow(id, |flow| flow.exempt = true);
        }
        self.watch_pairs(before.key, before.sequence);
        let slot = self.slot_of(before.key);
        let (word, version) = (self.words[slot].get(), self.versions[slot].get());
        let result = self.send(before.key, segment, before.sequence);
        if !self.is_live(id) || self.failed().is_some() {
            return;
        }
        let flow = self.flow(id);
        let backend = match result {
            Ok(backend) => backend,
            Err(Counter::DropBusy) => {
                // Lost on the way: it is sent again.
                let again = if segment == Segment::Bare {
                    Event::HalfClosed(id)
                } else {
                    Event::Data(id)
                };
                return self.after(200 * MS, again);
            }
            Err(counter) => panic!("{counter:?} for a packet that is no SYN"),
        };
        if self.is_dead(&flow) {
            return self.gone(id);
        }
        if backend != flow.backend {
            return self.misdirected(id, &flow);
        }
        // A flow that woke up during a hand-over has no record, and its base is about to change: it was silent for
        // too long while its slot moved, and has the promise again from the next packet on.
        let moved = version != self.versions[slot].get() || slot != self.slot_of(before.key);
        let unsafe_wake = flow.exempt && (word.state() == SlotState::Handover || moved);
        let step = match (segment, flow.habit) {
            (Segment::Payload, Habit::Bulk) => self.random.pick(&[0, 500, 3_000_000]),
            (Segment::Payload, _) => self.random.pick(&[0, 500, 3_000]),
            _ => 1,
        };
        self.change_flow(id, |flow| {
            flow.proven = true;
            flow.exempt = unsafe_wake;
            flow.last = now;
            flow.sequence = flow.sequence.wrapping_add(step);
        });
        match segment {
            Segment::Reset => self.gone(id),
            Segment::Fin if self.random.percent(70) => {
                self.after(100 * MS + self.random.below(S), Event::Gone(id));
            }
            Segment::Fin => {
                let ends = now + self.random.below(60 * S);
                self.change_flow(id, |flow| flow.ends = ends);
                self.after(self.pause(&flow), Event::HalfClosed(id));
            }
            Segment::Bare => self.after(self.pause(&flow), Event::HalfClosed(id)),
            Segment::Payload | Segment::Syn | Segment::Datagram => {
                self.after(self.pause(&flow), Event::Data(id));
            }
        }
    }

    pub(super) fn half_closed(&self, id: usize) {
        if self.now.get() > self.flow(id).ends {
            self.gone(id);
        } else {
            self.data(id, Segment::Bare);
        }
    }

    pub(super) fn is_dead(&self, flow: &Flow) -> bool {
        let backend = flow.backend as usize;
        !self.up[backend].get() || self.generation[backend].get() != flow.generation
    }

    /// A packet in the window of another connection's SYN makes the two a pair.
    pub(super) fn watch_pairs(&self, key: u64, sequence: u32) {
        let Some(id) = self.live.borrow()[key as usize] else {
            return;
        };
        let window = self.service.window;
        let hit = self.other_syns.borrow()[key as usize]
            .iter()
            .any(|(_, initial)| sequence.wrapping_sub(*initial).wrapping_sub(1) < window);
        if hit {
            self.change_flow(id, |flow| flow.paired = true);
        }
    }

    /// Whether the flow is outside of the promise, by one of the limits that are documented.
    pub(super) fn beyond_promise(&self, flow: &Flow) -> bool {
        let key = flow.key as usize;
        let crossed = !flow.proven
            && (flow.crossed
                || self.other_syns.borrow()[key]
                    .iter()
                    .any(|(at, initial)| *at >= flow.began && *initial != flow.initial));
        // A copy of its SYN came by after `--now` had lifted the freeze that the first one relied on.
        let hasty = self.lifted[self.slot_of(flow.key)]
            .borrow()
            .iter()
            .any(|at| (flow.began..=flow.last_syn).contains(at));
        flow.exempt || flow.paired || crossed || hasty
    }

    fn misdirected(&self, id: usize, flow: &Flow) {
        if self.beyond_promise(flow) {
            self.report.borrow_mut().limits += 1;
        } else if flow.proven {
            self.fail(Violation::Pcc);
        } else {
            self.fail(Violation::Birth);
        }
        self.gone(id);
    }
}
