//! UDP clients: a flow is bound by the first of its datagrams that is let through, and stays while the client is never
//! silent for longer than `T_idle`. One that was is a new flow.

use super::clients::Stage;
use super::report::Violation;
use super::world::{Event, MS, T_IDLE, World};
use splitter_common::abi::Counter;
use splitter_common::datapath::transition::{Rules, Segment};

impl<R: Rules> World<R> {
    /// A datagram of the flow comes by; `next`: another follows, and now and then one so soon that both are under way.
    pub(super) fn datagram(&self, id: usize, next: bool) {
        if !self.is_live(id) {
            return;
        }
        let before = self.flow(id);
        let now = self.now.get();
        if now > before.ends {
            return self.gone(id);
        }
        if next && self.random.percent(20) {
            self.after(self.random.below(5 * MS), Event::Extra(id));
        }
        if now - before.last > T_IDLE {
            self.change_flow(id, |flow| flow.exempt = true);
        }
        let result = self.send(before.key, Segment::Datagram, 0);
        if !self.is_live(id) || self.failed().is_some() {
            return;
        }
        let flow = self.flow(id);
        match result {
            Ok(backend) => self.arrived(id, backend, now),
            // A flow under the promise is known by then.
            Err(Counter::DropHandover) if flow.proven && !flow.exempt && !self.is_dead(&flow) => {
                return self.fail(Violation::Pcc);
            }
            Err(Counter::DropHandover | Counter::DropBusy) => {
                if next {
                    self.after(200 * MS, Event::Datagram(id));
                }
                return;
            }
            Err(counter) => panic!("{counter:?} for a datagram"),
        }
        if next && self.is_live(id) {
            self.after(self.pause(&flow), Event::Datagram(id));
        }
    }

    fn arrived(&self, id: usize, backend: u16, now: u64) {
        let flow = self.flow(id);
        if flow.proven && self.is_dead(&flow) {
            return self.gone(id);
        }
        if flow.proven && flow.backend != backend && !flow.exempt {
            return self.fail(Violation::Pcc);
        }
        if !flow.proven {
            self.report.borrow_mut().established += 1;
        } else if flow.backend != backend {
            self.report.borrow_mut().limits += 1;
        }
        let generation = self.generation[backend as usize].get();
        self.change_flow(id, |flow| {
            flow.stage = Stage::Established;
            flow.backend = backend;
            flow.generation = generation;
            flow.proven = true;
            flow.exempt = false;
            flow.last = flow.last.max(now);
        });
    }
}
