//! Reverse records: whose flow it is that a backend of several `nat` services answers. A backend of one service needs
//! none, for its replies have one VIP.
//!
//! The records lie in `REVERSE`, in sets packed as in [`flow_table`](super::flow_table) with two differences: what stands
//! there for the backend is the service (its index in `SERVICES`), and the low half of word B is
//!
//! ```text
//! 31–16 the port that the client dialled | 15–0 pending: upper half of the SYN's sequence number
//! ```
//!
//! A flow has one record at most, told apart by the hash of the 5-tuple that the *backend* sees. So two flows that are the
//! same to the backend (one client address and port to two VIPs) cannot both live: the later one is refused.
//!
//! What has no record is answered with the VIP of the backend's row in `REPLIES`: that of the service that had the
//! backend alone before. Its flows from before need no record, so sharing begins without breaking any.
//!
//! Flood: pending records and those made of one packet hold [`QUOTA`] entries of a set each. A SYN takes the place of
//! the oldest pending one where its quota is used up, never that of another record. Both sorts live for `pending_ns`;
//! only a packet that fits the SYN, or a second one, makes a record that lives as long as a flow may be silent.

use super::flow_table::{
    CLOSING, KIND_SHIFT, Kind, QUOTA, TAG_MASK, TAG_SHIFT, entry_of, lock, passed, set_index,
    tag_of, tick, unlock, words_of,
};
use super::parse::Headers;
use super::service::{backend, is_syn};
use super::tables::{FlowCells, Tables};
use crate::abi::{Counter, ENTRIES_PER_SET, Reply, ReplyKey, Service};
use crate::hash::{self, Reverse};
use crate::wire::header::{FIN, RST, TCP};

/// How long the record of a flow that ended waits for the last packets of it.
pub const CLOSING_NS: u64 = 60_000_000_000;
/// Bits of a sequence number that a record does not keep.
const SEQUENCE_SHIFT: u32 = 16;
const ALL_ENTRIES: u64 = (1 << ENTRIES_PER_SET) - 1;

/// Whether a packet may go on, in a number that always has a value: see [`choice`](super::choice).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission(u32);

impl Admission {
    /// It may.
    pub const YES: Self = Self(u32::MAX);

    #[inline(always)]
    const fn no(counter: Counter) -> Self {
        Self(counter as u32)
    }

    /// The counter of its drop, if it may not.
    #[inline(always)]
    pub const fn refused(self) -> Option<Counter> {
        const CONFLICT: u32 = Counter::DropReverseConflict as u32;
        const FULL: u32 = Counter::DropReverseFull as u32;
        const BUSY: u32 = Counter::DropBusy as u32;
        match self.0 {
            u32::MAX => None,
            CONFLICT => Some(Counter::DropReverseConflict),
            FULL => Some(Counter::DropReverseFull),
            BUSY => Some(Counter::DropBusy),
            _ => Some(Counter::DropInternal),
        }
    }
}

/// Remembers that a packet's flow at backend `local` is the service's.
#[inline(never)]
pub fn admit<T: Tables>(tables: &T, service: &Service, headers: &Headers, local: u16) -> Admission {
    let (Some(settings), Some((_, backend))) = (tables.settings(), backend(tables, service, local))
    else {
        return Admission::no(Counter::DropInternal);
    };
    let port = if backend.port == 0 {
        headers.destination_port
    } else {
        backend.port
    };
    let flow = Reverse {
        client: &headers.source,
        backend: &backend.address,
        client_port: headers.source_port,
        backend_port: port,
        protocol: headers.protocol,
        ipv6: headers.ipv6,
    };
    let flow_hash = hash::reverse_hash(&settings.hash_key, &flow);
    let index = set_index(flow_hash, settings.reverse_set_mask);
    let Some(set) = tables.reverse_set(index) else {
        return Admission::no(Counter::DropInternal);
    };
    let now = tables.now();
    let Some(word0) = lock(&set) else {
        return Admission::no(Counter::DropBusy);
    };
    let look = Look::of_locked(&set, word0, tag_of(flow_hash), tick(now));
    let step = decide(service, headers, &look, tag_of(flow_hash), now);
    let first = write(&set, &look, &step, word0);
    unlock(&set, first);
    if step.verdict != NO_ROOM {
        return Admission(step.verdict);
    }
    let key = ReplyKey {
        address: backend.address,
        port,
        protocol: headers.protocol,
        reserved: 0,
    };
    match tables.reply(&key) {
        Some(reply) if is_default(reply, headers) => Admission::YES,
        _ => Admission::no(Counter::DropReverseFull),
    }
}

/// Whether replies without a record get the VIP and port that the packet was sent to.
#[inline(always)]
fn is_default(reply: &Reply, headers: &Headers) -> bool {
    reply.vip == headers.destination && reply.port == headers.destination_port
}

const YES: u32 = Admission::YES.0;
/// The flow would need a record and there is no room.
const NO_ROOM: u32 = u32::MAX - 1;

/// What a packet does to its set.
#[derive(Clone, Copy)]
struct Step {
    /// [`YES`], [`NO_ROOM`] or a counter.
    verdict: u32,
    /// Bit of the entry that becomes `a`, `b`; 0: none.
    put: u64,
    a: u64,
    b: u64,
}

impl Step {
    #[inline(always)]
    const fn only(verdict: u32) -> Self {
        Self {
            verdict,
            put: 0,
            a: 0,
            b: 0,
        }
    }
}

#[inline(always)]
fn decide(service: &Service, headers: &Headers, look: &Look, tag: u64, now: u64) -> Step {
    let tcp = headers.protocol == TCP;
    let syn = tcp && is_syn(headers);
    let reset = headers.flags & RST != 0;
    let ends = headers.flags & (FIN | RST) != 0;
    let port = headers.destination_port;
    let sequence = (headers.sequence >> SEQUENCE_SHIFT) as u16;
    let record = |kind: Kind, closing: bool| {
        let low = u32::from(port) << 16 | u32::from(sequence);
        let life = match kind {
            Kind::Confirmed if closing && service.record_ns > CLOSING_NS => CLOSING_NS,
            Kind::Confirmed => service.record_ns,
            Kind::Pending | Kind::Learned => service.pending_ns,
        };
        words_of(kind, closing, tag, service.index, tick(now + life), low)
    };
    let put = |put: u64, (a, b): (u64, u64)| Step {
        verdict: YES,
        put,
        a,
        b,
    };
    let live = look.own != 0 && !passed((look.b >> 32) as u32, tick(now));
    if !live {
        // One datagram, or a SYN, or a packet of a flow that was there before.
        let (room, kind) = if !tcp || syn {
            (look.room_for_pending(), Kind::Pending)
        } else if reset {
            return Step::only(YES);
        } else {
            (look.room_for_learned(), Kind::Learned)
        };
        if room == 0 {
            return Step::only(NO_ROOM);
        }
        return put(room, record(kind, ends));
    }
    let closing = look.a & CLOSING != 0;
    let same = look.a as u16 == service.index && (look.b >> 16) as u16 == port;
    if !same {
        let quiet = closing && quiet_since_fin(look.b, now, service);
        if syn && quiet {
            return put(look.own, record(Kind::Pending, false));
        }
        return Step::only(Counter::DropReverseConflict as u32);
    }
    let pending = look.kind() == Kind::Pending as u64;
    if syn {
        return if pending || closing {
            put(look.own, record(Kind::Pending, false))
        } else {
            Step::only(YES)
        };
    }
    let closes = (closing || ends) && (headers.payload == 0 || reset);
    if pending && tcp && sequence.wrapping_sub(look.b as u16) > 1 {
        // Not the client that sent the SYN, or its SYN was not the last one.
        let learned = !reset && look.learned < QUOTA;
        return if learned {
            put(look.own, record(Kind::Learned, closes))
        } else {
            Step::only(YES)
        };
    }
    if reset && !pending {
        // Anybody can send one: it only shortens what the next packet of the flow makes long again.
        return put(look.own, record(Kind::Confirmed, true));
    }
    put(look.own, record(Kind::Confirmed, closes))
}

/// Whether a flow that ended has been quiet for `T_fin`: its deadline tells when it was last seen.
#[inline(always)]
fn quiet_since_fin(b: u64, now: u64, service: &Service) -> bool {
    let left = ((b >> 32) as u32).wrapping_sub(tick(now));
    let life = if service.record_ns > CLOSING_NS {
        CLOSING_NS
    } else {
        service.record_ns
    };
    left.wrapping_add(tick(service.fin_ns)) <= tick(life)
}

/// Writes the step; returns word 0 as it is to be left.
#[inline(always)]
fn write<S: FlowCells>(set: &S, look: &Look, step: &Step, word0: u64) -> u64 {
    let mut first = word0;
    if step.put == 0 {
        return first;
    }
    // An expired record of the flow in another entry would be found beside the new one.
    if look.own & !step.put != 0 {
        if look.own == 1 {
            first = 0;
        } else {
            set.store(2 * entry_of(look.own), 0);
        }
    }
    let at = 2 * entry_of(step.put);
    set.store(at + 1, step.b);
    if at == 0 {
        step.a
    } else {
        set.store(at, step.a);
        first
    }
}

/// What a look at a set shows.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Bit of the flow's own record, expired or not; 0: none.
    own: u64,
    a: u64,
    b: u64,
    occupied: u64,
    pending: u64,
    learned: u64,
    /// Bit of the live pending record that has least time left, and that time, in ticks.
    oldest: u64,
    left: u64,
}

impl Look {
    #[inline(always)]
    fn of_locked<S: FlowCells>(set: &S, word0: u64, tag: u64, now: u32) -> Self {
        let mut look = Self {
            own: 0,
            a: 0,
            b: 0,
            occupied: 0,
            pending: 0,
            learned: 0,
            oldest: 0,
            left: u64::MAX,
        };
        look.add::<0>(word0, set.load(1), tag, now);
        look.add::<1>(set.load(2), set.load(3), tag, now);
        look.add::<2>(set.load(4), set.load(5), tag, now);
        look.add::<3>(set.load(6), set.load(7), tag, now);
        look
    }

    /// Computed with masks, as a branchy scan multiplies the verifier's paths.
    #[inline(always)]
    fn add<const ENTRY: u32>(&mut self, a: u64, b: u64, tag: u64, now: u32) {
        let kind = a >> KIND_SHIFT;
        let low = kind & 1;
        let high = (kind >> 1) & 1;
        let used = low | high;
        // 1 where the difference is 0: it has 44 bits, so only 0 - 1 sets bit 63.
        let hit = used & ((((a >> TAG_SHIFT) & TAG_MASK) ^ tag).wrapping_sub(1) >> 63);
        let left = (b >> 32).wrapping_sub(u64::from(now));
        let live = used & ((left >> 31 & 1) ^ 1);
        let pending = live & low & (high ^ 1);

        let select = hit.wrapping_neg();
        self.own |= hit << ENTRY;
        self.a |= a & select;
        self.b |= b & select;
        self.occupied |= live << ENTRY;
        self.pending += pending;
        self.learned += live & high & (low ^ 1);

        let left = left & 0x7fff_ffff;
        // 1 where it is pending and has less time left; what is not pending has all the time there is.
        let less = pending & (left.wrapping_sub(self.left & (i64::MAX as u64)) >> 63);
        let select = less.wrapping_neg();
        self.oldest = self.oldest & !select | (1 << ENTRY) & select;
        self.left = self.left & !select | left & select;
    }

    #[inline(always)]
    const fn kind(&self) -> u64 {
        (self.a >> KIND_SHIFT) & 3
    }

    /// A free entry, the flow's own expired one first, or the oldest pending record's where others may have no more.
    #[inline(always)]
    fn room_for_pending(&self) -> u64 {
        let free = !self.occupied & ALL_ENTRIES;
        if self.pending >= QUOTA || free == 0 {
            return self.oldest;
        }
        if self.own != 0 {
            return self.own;
        }
        free & free.wrapping_neg()
    }

    /// A free entry that is not the last one.
    #[inline(always)]
    fn room_for_learned(&self) -> u64 {
        let free = !self.occupied & ALL_ENTRIES;
        if self.learned >= QUOTA || free & free.wrapping_sub(1) == 0 {
            return 0;
        }
        if self.own != 0 {
            return self.own;
        }
        free & free.wrapping_neg()
    }
}

/// Puts the VIP and port of a reply's flow into `reply`, where the flow has a record. Takes no lock; a record counts here
/// also after its time, until its room was needed.
#[inline(never)]
pub fn resolve<T: Tables>(tables: &T, headers: &Headers, reply: &mut Reply) {
    let Some(settings) = tables.settings() else {
        return;
    };
    let flow = Reverse {
        client: &headers.destination,
        backend: &headers.source,
        client_port: headers.destination_port,
        backend_port: headers.source_port,
        protocol: headers.protocol,
        ipv6: headers.ipv6,
    };
    let flow_hash = hash::reverse_hash(&settings.hash_key, &flow);
    let index = set_index(flow_hash, settings.reverse_set_mask);
    let Some(set) = tables.reverse_set(index) else {
        return;
    };
    let tag = tag_of(flow_hash);
    // 0: no record; else the service and, above it, the port and a mark.
    let mut found = 0_u64;
    for entry in 0..ENTRIES_PER_SET {
        let a = set.load(2 * entry);
        let b = set.load(2 * entry + 1);
        let used = (a >> KIND_SHIFT) & 3 != 0;
        if used && (a >> TAG_SHIFT) & TAG_MASK == tag {
            found = 1 << 32 | u64::from((b >> 16) as u16) << 16 | u64::from(a as u16);
        }
    }
    if found == 0 {
        return;
    }
    if let Some(service) = tables.service(u32::from(found as u16))
        && service.in_use != 0
        && service.protocol == headers.protocol
    {
        reply.vip = service.vip;
        reply.port = (found >> 16) as u16;
    }
}
