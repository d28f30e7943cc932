//! The rules: from what the tables show to where the packet goes and what is written. Writes nothing itself.

use super::rules::Rules;
use super::{Arrival, Segment, udp};
use crate::abi::{Counter, Service, SlotState, SlotWord, Stamp};
use crate::datapath::choice::{Choice, Owner};
use crate::datapath::flow_table::{
    Found, Kind, Scan, tag_of, tick, time_word, with_state, words_of,
};
use crate::datapath::tables::{SlotTables, StampCells};

/// A packet in a slot that is not at rest.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) service: &'a Service,
    pub(super) arrival: &'a Arrival,
    pub(super) word: SlotWord,
    pub(super) now: u64,
}

/// Where the packet goes, and what is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub(super) choice: Choice,
    /// Stamps to be set to the time of the packet.
    pub(super) unlogged: bool,
    pub(super) bare_syn: bool,
    pub(super) foreign: bool,
    /// Bit of the entry that becomes `a`, `b`; 0: none.
    pub(super) put: u64,
    pub(super) a: u64,
    pub(super) b: u64,
    /// Bit of the entry that becomes free; 0: none.
    pub(super) free: u64,
}

impl Decision {
    #[inline(always)]
    pub(super) const fn to(choice: Choice) -> Self {
        Self {
            choice,
            unlogged: false,
            bare_syn: false,
            foreign: false,
            put: 0,
            a: 0,
            b: 0,
            free: 0,
        }
    }

    /// The entry of `bit` becomes a record of backend `to`, which is where the packet goes.
    #[inline(always)]
    fn put<R: Rules>(question: &Question, to: u16, bit: u64, a: u64, b: u64) -> Self {
        Self {
            foreign: R::STAMP_FOREIGN && to != question.word.base(),
            put: bit,
            a,
            b,
            ..Self::to(Choice::to(to))
        }
    }
}

/// Decides for a packet whose slot is not at rest; `scan` is what its flow set holds.
#[inline(always)]
pub(super) fn decide<R: Rules, T: SlotTables>(
    tables: &T,
    stamps: &T::Stamps,
    scan: &Scan,
    question: &Question,
) -> Decision {
    let word = question.word;
    if !R::RESIDUE_LOOKS && word.base() == word.current() {
        return Decision::to(Choice::to(word.base()));
    }
    let confirmed = if confirmed_counts::<R>(&scan.confirmed, question) {
        backend_of::<R, T>(tables, question.service, &scan.confirmed)
    } else {
        Owner::NONE
    };
    let pending =
        if scan.pending.bit != 0 && !(R::EXPIRY && scan.pending.is_expired(tick(question.now))) {
            backend_of::<R, T>(tables, question.service, &scan.pending)
        } else {
            Owner::NONE
        };
    let (confirmed, pending) = (confirmed.get(), pending.get());
    match question.arrival.segment {
        Segment::Datagram => udp::datagram::<R, _>(stamps, question, scan, confirmed),
        Segment::Syn => syn::<R, _>(stamps, question, scan, confirmed, pending),
        _ => other::<R>(question, scan, confirmed, pending),
    }
}

/// A record counts while its deadline is not past, and no longer than the timer that is now in force.
#[inline(always)]
fn confirmed_counts<R: Rules>(record: &Found, question: &Question) -> bool {
    let now = tick(question.now);
    record.bit != 0
        && !(R::EXPIRY
            && (record.is_expired(now) || older(record.low(), now, question.service.record_ns)))
}

/// Number, local to the service, of the record's backend, if that is the service's and alive.
#[inline(always)]
fn backend_of<R: Rules, T: SlotTables>(tables: &T, service: &Service, record: &Found) -> Owner {
    number_of::<R, T>(tables, service, u32::from(record.backend()))
}

/// The same of an index in `BACKENDS`.
#[inline(always)]
pub(super) fn number_of<R: Rules, T: SlotTables>(
    tables: &T,
    service: &Service,
    index: u32,
) -> Owner {
    let number = index.wrapping_sub(service.first_backend);
    if number >= service.backend_count || number > u32::from(u16::MAX) {
        return Owner::NONE;
    }
    match tables.backend(index) {
        Some(backend) if !R::ALIVE || backend.is(crate::abi::Backend::ALIVE) => {
            Owner::of(number as u16)
        }
        _ => Owner::NONE,
    }
}

/// Whether more than `span_ns` passed from tick `then` to tick `now`; a tick of rounding counts as not yet.
#[inline(always)]
fn older(then: u32, now: u32, span_ns: u64) -> bool {
    let age = now.wrapping_sub(then);
    // A `then` ahead of `now` is another CPU's clock: as young as can be.
    age >> 31 == 0 && u64::from(age) > (span_ns >> 24) + 1
}

#[inline(always)]
fn syn<R: Rules, C: StampCells>(
    stamps: &C,
    question: &Question,
    scan: &Scan,
    confirmed: Option<u16>,
    pending: Option<u16>,
) -> Decision {
    let Question {
        service,
        arrival,
        word,
        now,
    } = *question;
    if let Some(backend) = pending
        && scan.pending.low() == arrival.sequence
    {
        let b = time_word(tick(now + service.pending_ns), arrival.sequence);
        let a = with_state(scan.pending.a, Kind::Pending, false);
        return Decision::put::<R>(question, backend, scan.pending.bit, a, b);
    }
    if let Some(backend) = confirmed
        && R::SYN_FOLLOWS_RECORD
        && !(scan.confirmed.closing()
            && (!R::QUIET || older(scan.confirmed.low(), tick(now), service.fin_ns)))
    {
        return follow::<R>(question, scan, backend, scan.confirmed.closing());
    }
    let handover = matches!(word.state(), SlotState::Handover);
    let residue = matches!(word.state(), SlotState::Residue);
    let frozen = R::FREEZE && now.saturating_sub(stamps.load(Stamp::BareSyn)) < service.prepare_ns;
    let none = confirmed.is_none() && pending.is_none();
    if handover && frozen && none && R::HANDOVER_DROPS {
        return bare_syn::<R>(Choice::drop(Counter::DropHandover));
    }
    let fresh = if frozen && !residue {
        word.base()
    } else {
        word.current()
    };
    let to = match pending {
        Some(backend) if pending_is_young(&scan.pending, question) => backend,
        _ => fresh,
    };
    if residue && none && to == word.base() {
        return Decision::to(Choice::to(to));
    }
    let mut room = scan.room_for_pending();
    if !R::NEVER_EVICT && room == 0 {
        room = 1;
    }
    if room != 0 {
        let mut decision = put_new::<R>(question, Kind::Pending, to, room);
        // Where another's record gave way, an expired one of its own goes: a flow never has two of one sort.
        decision.free = scan.pending.bit & !room;
        return decision;
    }
    if let Some(backend) = confirmed {
        return follow::<R>(question, scan, backend, scan.confirmed.closing());
    }
    // Pending records hold the room, and give it back in seconds: the client sends its SYN again, and the flow begins where
    // the weights want it. Its first SYN reached nobody, so nothing needs to be remembered.
    let moves = matches!(word.state(), SlotState::Track) && word.base() != word.current();
    if R::AWAITS_ROOM && moves && scan.room_comes() {
        return Decision::to(Choice::drop(Counter::DropNoRoom));
    }
    // No room, and nothing is evicted: the flow begins on `base`, remembered by the slot alone. In HANDOVER `base`
    // is about to change: the client sends it again.
    bare_syn::<R>(if handover && R::HANDOVER_DROPS {
        Choice::drop(Counter::DropHandover)
    } else {
        Choice::to(word.base())
    })
}

#[inline(always)]
fn other<R: Rules>(
    question: &Question,
    scan: &Scan,
    confirmed: Option<u16>,
    pending: Option<u16>,
) -> Decision {
    let Question {
        service,
        arrival,
        word,
        now,
    } = *question;
    let ends = matches!(arrival.segment, Segment::Fin | Segment::Reset);
    let payload = matches!(arrival.segment, Segment::Payload);
    if let Some(backend) = pending {
        let ahead = arrival
            .sequence
            .wrapping_sub(scan.pending.low())
            .wrapping_sub(1);
        if !R::WINDOW || ahead < service.window {
            let a = with_state(scan.pending.a, Kind::Confirmed, ends);
            let b = time_word(tick(now + service.record_ns), tick(now));
            let mut decision = Decision::put::<R>(question, backend, scan.pending.bit, a, b);
            decision.free = scan.confirmed.bit;
            return decision;
        }
    }
    if let Some(backend) = confirmed {
        let closing = (scan.confirmed.closing() || ends) && !payload;
        let mut decision = follow::<R>(question, scan, backend, closing);
        decision.a = with_state(scan.confirmed.a, Kind::Confirmed, closing);
        if payload && pending.is_some_and(|other| other != backend) {
            decision.free = scan.pending.bit;
        }
        return decision;
    }
    let track = matches!(word.state(), SlotState::Track);
    let handover = matches!(word.state(), SlotState::Handover);
    let mut decision = Decision::to(Choice::to(word.base()));
    if matches!(arrival.segment, Segment::Reset) {
        return decision;
    }
    if track {
        let mut room = scan.room_for_learned();
        if !R::NEVER_EVICT && room == 0 {
            room = 1;
        }
        if room != 0 {
            return put_new::<R>(question, Kind::Learned, word.base(), room);
        }
    }
    decision.unlogged = R::STAMP_UNLOGGED && (track || handover);
    decision
}

/// A SYN that leaves no record but the slot's stamps.
#[inline(always)]
fn bare_syn<R: Rules>(choice: Choice) -> Decision {
    Decision {
        unlogged: R::STAMP_BARE_SYN,
        bare_syn: R::STAMP_BARE_SYN,
        ..Decision::to(choice)
    }
}

/// To the backend of the confirmed record, which is refreshed.
#[inline(always)]
pub(super) fn follow<R: Rules>(
    question: &Question,
    scan: &Scan,
    backend: u16,
    closing: bool,
) -> Decision {
    let kind = if scan.confirmed.is_learned() {
        Kind::Learned
    } else {
        Kind::Confirmed
    };
    let a = with_state(scan.confirmed.a, kind, closing);
    let b = if R::REFRESH {
        time_word(
            tick(question.now + question.service.record_ns),
            tick(question.now),
        )
    } else {
        scan.confirmed.b
    };
    Decision::put::<R>(question, backend, scan.confirmed.bit, a, b)
}

/// A new record in the entry of `bit`.
#[inline(always)]
pub(super) fn put_new<R: Rules>(question: &Question, kind: Kind, to: u16, bit: u64) -> Decision {
    let Question {
        service,
        arrival,
        now,
        ..
    } = *question;
    let pending = matches!(kind, Kind::Pending) && R::SYN_NEVER_CONFIRMS;
    let (kind, life, low) = if pending {
        (Kind::Pending, service.pending_ns, arrival.sequence)
    } else if matches!(kind, Kind::Pending) {
        (Kind::Confirmed, service.record_ns, tick(now))
    } else {
        (kind, service.record_ns, tick(now))
    };
    let closing = matches!(arrival.segment, Segment::Fin);
    let backend = (service.first_backend as u16).wrapping_add(to);
    let (a, b) = words_of(
        kind,
        closing,
        tag_of(arrival.flow_hash),
        backend,
        tick(now + life),
        low,
    );
    Decision::put::<R>(question, to, bit, a, b)
}

/// Whether a pending record was made or refreshed less than `D` ago: its deadline tells when.
#[inline(always)]
fn pending_is_young(pending: &Found, question: &Question) -> bool {
    let life = (question.service.pending_ns >> 24) as u32;
    let made = pending.deadline().wrapping_sub(life);
    !older(made, tick(question.now), question.service.prepare_ns)
}
