//! UDP with `flows = "track"`: no packet says that it begins a flow.
//!
//! So nothing goes elsewhere while flows may live that are not known: in TRACK everything without a record is `base`'s and
//! is learned. HANDOVER begins when no packet went by unlogged for `T_idle` + δ; then every flow that lives has a
//! record, and what has none is new. A new flow that finds no room there is dropped: sent to `base` without a record, it
//! would be moved by the hand-over that the daemon may be writing this very moment.

use super::decide::{Decision, Question, follow, put_new};
use super::rules::Rules;
use crate::abi::{Counter, SlotState, Stamp};
use crate::datapath::choice::Choice;
use crate::datapath::flow_table::{Kind, Scan, with_state};
use crate::datapath::tables::StampCells;

/// What clocks and ticks may round away, nanoseconds.
const ROUNDING_NS: u64 = 2 << 24;

#[inline(always)]
pub(super) fn datagram<R: Rules, C: StampCells>(
    stamps: &C,
    question: &Question,
    scan: &Scan,
    confirmed: Option<u16>,
) -> Decision {
    let Question {
        service, word, now, ..
    } = *question;
    if let Some(backend) = confirmed {
        let mut decision = follow::<R>(question, scan, backend, false);
        decision.a = with_state(scan.confirmed.a, Kind::Confirmed, false);
        return decision;
    }
    let track = matches!(word.state(), SlotState::Track);
    let handover = matches!(word.state(), SlotState::Handover);
    let room = scan.room_for_learned();
    // A packet that read TRACK a moment ago may have gone to `base` unlogged. Then the slot goes back to TRACK, and
    // until then it is as if it were there: the next packet of that flow must find `base`.
    let learning = R::HANDOVER_LOOKS_BACK
        && now.saturating_sub(stamps.load(Stamp::Unlogged)) <= service.record_ns + ROUNDING_NS;
    let begins = (handover && !learning) || (track && !R::TRACK_HOLDS);
    if begins {
        if room != 0 {
            return put_new::<R>(question, Kind::Learned, word.current(), room);
        }
        if R::HANDOVER_DROPS {
            return Decision::to(Choice::drop(Counter::DropHandover));
        }
    }
    if (track || handover) && R::LEARNS {
        if room != 0 && !begins {
            return put_new::<R>(question, Kind::Learned, word.base(), room);
        }
        return unlogged::<R>(question);
    }
    Decision::to(Choice::to(word.base()))
}

/// To `base` without a record, which the slot remembers.
#[inline(always)]
fn unlogged<R: Rules>(question: &Question) -> Decision {
    let mut decision = Decision::to(Choice::to(question.word.base()));
    decision.unlogged = R::STAMP_UNLOGGED;
    decision
}
