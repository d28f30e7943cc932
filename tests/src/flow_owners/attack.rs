//! Spoofers: floods of SYNs, of ACKs that come once or twice, and of pairs from random 5-tuples; blind shots at live
//! ones.

use super::Wire;
use super::clients::KEYS;
use super::world::{Event, MS, S, World, hash_of};
use splitter_common::datapath::flow_table::{Kind, QUOTA, Record, set_index};
use splitter_common::datapath::transition::{Rules, Segment};

const SYNS: u8 = 0;
const ACKS: u8 = 1;
const BOTH: u8 = 2;
const TWICE: u8 = 3;
const BLIND: u8 = 4;

impl<R: Rules> World<R> {
    pub(super) fn attack(&self) {
        let kind = self.random.pick(&[SYNS, ACKS, BOTH, TWICE, BLIND, BLIND]);
        for _ in 0..self.random.pick(&[60, 150, 400]) {
            self.after(self.random.below(15 * S), Event::Evil(kind));
        }
        self.after(15 * S + self.random.below(90 * S), Event::Attack);
    }

    pub(super) fn evil(&self, kind: u8) {
        let anyone = KEYS + self.random.below(1_000_000);
        let sequence = self.random.bits() as u32;
        if self.wire == Wire::Udp {
            return self.datagrams(kind, anyone);
        }
        match kind {
            SYNS => {
                _ = self.send(anyone, Segment::Syn, sequence);
            }
            ACKS => {
                _ = self.send(anyone, Segment::Bare, sequence);
            }
            TWICE => {
                _ = self.send(anyone, Segment::Bare, sequence);
                _ = self.send(anyone, Segment::Bare, sequence);
            }
            BOTH => {
                _ = self.send(anyone, Segment::Syn, sequence);
                _ = self.send(anyone, Segment::Bare, sequence.wrapping_add(1));
            }
            _ => self.blind(sequence),
        }
    }

    fn datagrams(&self, kind: u8, anyone: u64) {
        let live: Vec<usize> = self.live.borrow().iter().flatten().copied().collect();
        let key = match kind {
            BLIND if !live.is_empty() => self.flows.borrow()[self.random.pick(&live)].key,
            _ => anyone,
        };
        _ = self.send(key, Segment::Datagram, 0);
        if kind == TWICE {
            _ = self.send(key, Segment::Datagram, 0);
        }
    }

    /// At the moment when the slot's base may change, a client dials whose flow set has no room for its SYN.
    pub(super) fn ambush(&self, slot: usize) {
        let live = *self.live.borrow();
        let free: Vec<u64> = (0..KEYS)
            .filter(|key| self.slot_of(*key) == slot && live[*key as usize].is_none())
            .collect();
        self.held.set(true);
        if free.is_empty() {
            return;
        }
        let key = self.random.pick(&free);
        let mask = self.settings.flow_set_mask;
        let set = set_index(hash_of(key), mask);
        // Not one more than the quota: a SYN without room would keep the slot from changing.
        let (kind, segment) = match self.wire {
            Wire::Tcp => (Kind::Pending, Segment::Syn),
            Wire::Udp => (Kind::Learned, Segment::Datagram),
        };
        let mut wanted = QUOTA - self.live_in(set, kind).min(QUOTA);
        for _ in 0..1_000 {
            let other = KEYS + self.random.below(1_000_000);
            if wanted > 0 && self.slot_of(other) == slot && set_index(hash_of(other), mask) == set {
                _ = self.send(other, segment, self.random.bits() as u32);
                wanted -= 1;
            }
        }
        self.after(self.random.below(60 * MS), Event::Victim(key));
    }

    fn live_in(&self, set: u32, kind: Kind) -> u64 {
        let now = self.coarse_now();
        let first = 8 * set as usize;
        self.table[first..first + 8]
            .as_chunks::<2>()
            .0
            .iter()
            .filter_map(|[a, b]| Record::unpack(a.get(), b.get()))
            .filter(|record| record.kind == kind && record.is_live(now))
            .count() as u64
    }

    /// At a 5-tuple in use, with a guessed sequence number.
    fn blind(&self, sequence: u32) {
        let live: Vec<usize> = self.live.borrow().iter().flatten().copied().collect();
        if live.is_empty() {
            return;
        }
        let id = self.random.pick(&live);
        let key = self.flows.borrow()[id].key;
        let segment = self.random.pick(&[
            Segment::Syn,
            Segment::Syn,
            Segment::Syn,
            Segment::Fin,
            Segment::Reset,
            Segment::Bare,
            Segment::Payload,
        ]);
        if segment == Segment::Syn {
            let now = self.now.get();
            self.other_syns.borrow_mut()[key as usize].push((now, sequence));
        } else {
            self.watch_pairs(key, sequence);
            self.flows.borrow_mut()[id].crossed |= segment == Segment::Payload;
        }
        _ = self.send(key, segment, sequence);
    }
}
