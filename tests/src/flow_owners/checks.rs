//! The invariants.

use super::clients::KEYS;
use super::report::Violation;
use super::tables::Port;
use super::world::{FIRST_BACKEND, T_IDLE, World, hash_of};
use splitter_common::abi::SlotState;
use splitter_common::datapath::flow_table::{Kind, QUOTA, Record};
use splitter_common::datapath::transition::{Rules, peek};

impl<R: Rules> World<R> {
    /// After every event: the flows of one slot, in turn, and the whole table.
    pub(super) fn check_quick(&self) {
        self.check_slot(self.slot_of(self.random.below(KEYS)));
        self.check_records();
    }

    /// I1 for every flow of a slot. Between two packets only: a run under way holds its set.
    pub(super) fn check_slot(&self, slot: usize) {
        if !self.runs.borrow().is_empty() {
            return;
        }
        let live: Vec<usize> = self.live.borrow().iter().flatten().copied().collect();
        for id in live {
            if self.slot_of(self.flows.borrow()[id].key) == slot {
                self.check_lookup(id);
            }
        }
    }

    fn check_lookup(&self, id: usize) {
        let flow = self.flows.borrow()[id].clone();
        if !self.under_promise(id) {
            return;
        }
        let port = Port {
            world: self,
            hooked: false,
        };
        let slot = self.slot_of(flow.key) as u32;
        let found = peek(&port, &self.service, hash_of(flow.key), slot);
        let right = found.is_ok_and(|peek| peek.established == Ok(flow.backend));
        // A pending record of its own handshake that would take it elsewhere with its next packet.
        let trap = found
            .ok()
            .and_then(|peek| peek.pending)
            .is_some_and(|pending| {
                pending.low == flow.initial
                    && pending.backend != FIRST_BACKEND as u16 + flow.backend
                    && flow.sequence.wrapping_sub(flow.initial).wrapping_sub(1)
                        < self.service.window
            });
        if !right || trap {
            self.structural(Violation::Lookup);
        }
    }

    /// Established, heard of within `T_idle`, on a backend that lives, within no documented limit.
    fn under_promise(&self, id: usize) -> bool {
        let flow = &self.flows.borrow()[id];
        flow.proven
            && self.now.get() - flow.last <= T_IDLE
            && !self.is_dead(flow)
            && !self.beyond_promise(flow)
    }

    /// I2 and the quotas.
    fn check_records(&self) {
        let now = self.coarse_now();
        for (index, set) in self.table.as_chunks::<8>().0.iter().enumerate() {
            let (mut pending, mut learned, mut began_learned) = (0, 0, 0);
            for (entry, [a, b]) in set.as_chunks::<2>().0.iter().enumerate() {
                let Some(record) = Record::unpack(a.get(), b.get()) else {
                    continue;
                };
                if !record.is_live(now) {
                    continue;
                }
                pending += u64::from(record.kind == Kind::Pending);
                learned += u64::from(record.kind == Kind::Learned);
                began_learned += u64::from(self.began_learned[4 * index + entry].get());
                let number = record.backend - FIRST_BACKEND as u16;
                let word = self.words[self.slot_of(record.tag)].get();
                if word.state() == SlotState::Steady
                    && word.base() != number
                    && self.alive[number as usize].get()
                {
                    self.structural(Violation::StaleRecord);
                }
            }
            if pending > QUOTA || learned > QUOTA || began_learned > 3 {
                self.structural(Violation::Quota);
            }
        }
    }

    /// I5.
    pub(super) fn check_drained(&self, backend: u16) {
        let live: Vec<usize> = self.live.borrow().iter().flatten().copied().collect();
        let on_it = live
            .into_iter()
            .any(|id| self.flows.borrow()[id].backend == backend && self.under_promise(id));
        if on_it {
            self.fail(Violation::Drain);
        }
    }
}
