//! The flow table: how records are packed into the one-cache-line sets of `FLOWS`, and what there is room for.
//!
//! A set has four entries of two words. Whatever a packet does with the records of its 5-tuple happens under the
//! set's lock bit, so it is atomic for every other packet; user space never takes the lock (a daemon killed while
//! holding it would block the set for ever) and reads, at worst, a record in the middle of its refresh.
//!
//! ```text
//! word A   63 lock (entry 0 only) | 62–61 kind | 60 closing | 59–16 tag | 15–0 index in BACKENDS
//! word B   63–32 deadline, ticks  | 31–0 pending: sequence number of the SYN; else: last seen, ticks
//! ```
//!
//! * A **tick** is 2^24 ns (16.8 ms). Ticks wrap after 2.3 years; [`sweep`] clears records whose deadline is long
//!   past, so that none becomes unexpired again when the clock comes round.
//! * The **deadline** lies in the record, because a set holds records of services with different timers: whether an
//!   entry may be reused needs no knowledge of its service. A record's last sighting lies there too, so a shorter
//!   `drain.idle` holds at once; a longer one holds for a flow from its next packet.
//! * The **backend** is an index in `BACKENDS`, not the number local to the service, so that a record tells whose it
//!   is. `BACKENDS` therefore has at most 65,536 entries.
//! * The **tag** is the low 44 bits of the flow hash; the set is named by the bits above. In a table of 2^k sets
//!   (k ≤ 20, four million records; what lies above is not used) a record is told apart by 44 + k bits: one flow is
//!   taken for another with a live record of the *same service* with a probability of n / 2^(44 + k), n being
//!   the number of live records; for a full table of a million that is 2^-42.
//! * A **live record is never evicted**, but for a pending one near its end ([`PENDING_SPARE_NS`]), which gives way to
//!   another flow's SYN: so the room that a flood of SYNs holds comes back soon. Expired ones are reused in place. At most [`QUOTA`] entries of a set are
//!   pending and at most [`QUOTA`] learned once; records become confirmed in place and need no room. A new flow must
//!   find room although others live long, so the last free entry of a set is never given to a learned record: records
//!   that began as learned, confirmed since or not, hold three of the four at most, whatever is sent, and the fourth
//!   is taken by a SYN only.
//! * *Confirmed* means that packets came which fit together, not that somebody answered for them: nothing here sees what
//!   the backend replies. A single forger makes a confirmed record of two packets with addresses that are not his own,
//!   a SYN and an ACK after it. Forged pairs can fill a set; `docs/transitions.md` says what that costs whom.
//!
//! Selection is computed with masks, not with branches: a branchy scan of a set multiplies the verifier's paths.

use super::tables::FlowCells;
use crate::abi::{ENTRIES_PER_SET, WORDS_PER_SET};

/// Pending entries, and entries learned once, that a set may hold at most.
pub const QUOTA: u64 = 2;
/// A bit for each entry of a set.
const ALL_ENTRIES: u64 = (1 << ENTRIES_PER_SET) - 1;
/// In the last seconds of its life a pending record gives way to another flow's SYN that finds no room else, nanoseconds.
/// Every service's `T_pending` is longer than this by its `D` and by 3 s at least, so it is past the time in which copies
/// of its SYN must find it, and a client whose handshake takes longer than that in a flood is not known any more.
pub const PENDING_SPARE_NS: u64 = 7_000_000_000;
/// The same in ticks, less two: both ends of a life are rounded.
const PENDING_SPARE_TICKS: u64 = (PENDING_SPARE_NS >> TICK_SHIFT) - 2;
/// Attempts at a set's lock before a packet is dropped.
const LOCK_TRIES: u32 = 32;

const LOCK: u64 = 1 << 63;
pub(super) const KIND_SHIFT: u32 = 61;
pub(super) const CLOSING: u64 = 1 << 60;
pub(super) const TAG_SHIFT: u32 = 16;
const TAG_BITS: u32 = 44;
pub(super) const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
pub(super) const TICK_SHIFT: u32 = 24;
/// How far in the past a deadline must be for [`sweep`]: far from both ends of the wrapping comparison.
const SWEEP_AFTER_TICKS: u32 = 1 << 20;

/// What a record is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Made by a SYN; no packet after it was seen yet.
    Pending = 1,
    /// Made from a single packet of a flow without a record.
    Learned = 2,
    /// A packet that fits its SYN was seen, or a second one after it was learned.
    Confirmed = 3,
}

/// A record, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is worth.
    pub kind: Kind,
    /// FIN or RST was seen and no payload since.
    pub closing: bool,
    /// Low bits of the flow hash.
    pub tag: u64,
    /// Index of its backend in `BACKENDS`.
    pub backend: u16,
    /// The record counts up to and including this tick.
    pub deadline: u32,
    /// Pending: the SYN's sequence number. Else: the tick of the last packet.
    pub low: u32,
}

impl Record {
    /// Unpacks an entry; none where it is free.
    #[inline(always)]
    pub const fn unpack(a: u64, b: u64) -> Option<Self> {
        let kind = match (a >> KIND_SHIFT) & 3 {
            1 => Kind::Pending,
            2 => Kind::Learned,
            3 => Kind::Confirmed,
            _ => return None,
        };
        Some(Self {
            kind,
            closing: a & CLOSING != 0,
            tag: (a >> TAG_SHIFT) & TAG_MASK,
            backend: a as u16,
            deadline: (b >> 32) as u32,
            low: b as u32,
        })
    }

    /// Packs it into words A and B.
    #[inline(always)]
    pub const fn pack(&self) -> (u64, u64) {
        let a = (self.kind as u64) << KIND_SHIFT
            | (self.closing as u64) << 60
            | (self.tag & TAG_MASK) << TAG_SHIFT
            | self.backend as u64;
        (a, (self.deadline as u64) << 32 | self.low as u64)
    }

    /// Whether its deadline is not past at `now_ns`.
    #[inline(always)]
    pub const fn is_live(&self, now_ns: u64) -> bool {
        !passed(self.deadline, tick(now_ns))
    }

    /// Whether it is live, but a pending one that gives way to another flow's SYN.
    pub const fn gives_way(&self, now_ns: u64) -> bool {
        let left = self.deadline.wrapping_sub(tick(now_ns)) as u64;
        matches!(self.kind, Kind::Pending) && self.is_live(now_ns) && left < PENDING_SPARE_TICKS
    }
}

/// The tick of a time.
#[inline(always)]
pub const fn tick(ns: u64) -> u32 {
    (ns >> TICK_SHIFT) as u32
}

/// Nanoseconds between two ticks, `later - earlier`; 0 where `later` is not later.
#[inline(always)]
pub const fn ticks_to_ns(earlier: u32, later: u32) -> u64 {
    let ticks = later.wrapping_sub(earlier);
    if ticks >> 31 != 0 {
        return 0;
    }
    (ticks as u64) << TICK_SHIFT
}

#[inline(always)]
pub(super) const fn passed(deadline: u32, now: u32) -> bool {
    deadline.wrapping_sub(now) >> 31 != 0
}

/// Index of the set of a flow, given `Settings::flow_set_mask`.
#[inline(always)]
pub const fn set_index(flow_hash: u64, flow_set_mask: u32) -> u32 {
    (flow_hash >> TAG_BITS) as u32 & flow_set_mask
}

/// The part of the flow hash that a record keeps.
#[inline(always)]
pub const fn tag_of(flow_hash: u64) -> u64 {
    flow_hash & TAG_MASK
}

/// Takes the lock of a set; returns word 0 without the bit, or nothing where others held it for too long.
#[inline(always)]
pub fn lock<S: FlowCells>(set: &S) -> Option<u64> {
    let mut expected = set.load(0) & !LOCK;
    let mut tries = 0;
    while tries < LOCK_TRIES {
        let found = set.compare_exchange(0, expected, expected | LOCK);
        if found == expected {
            return Some(expected);
        }
        expected = found & !LOCK;
        tries += 1;
    }
    None
}

/// Gives the lock back: word 0, entry 0's word A, is written last.
#[inline(always)]
pub fn unlock<S: FlowCells>(set: &S, word0: u64) {
    set.store(0, word0);
}

/// The words of a set for a reader that takes no lock: two equal readings in a row of an unlocked set, or nothing.
pub fn load_unlocked<S: FlowCells>(set: &S) -> Option<[u64; WORDS_PER_SET]> {
    let read = || core::array::from_fn(|word| set.load(word));
    let mut before: [u64; WORDS_PER_SET] = read();
    for _ in 0..1_000 {
        let again = read();
        if again == before && again[0] & LOCK == 0 {
            return Some(again);
        }
        before = again;
    }
    None
}

/// The records in the words of a set, expired ones included.
pub fn records(words: &[u64; WORDS_PER_SET]) -> impl Iterator<Item = Record> + '_ {
    (0..ENTRIES_PER_SET).filter_map(|entry| Record::unpack(words[2 * entry], words[2 * entry + 1]))
}

/// Frees records whose deadline passed long ago (5 hours) and returns how many. For user space, at least once in a
/// year: such a record would count again when ticks have gone half way round. Takes no lock: an expired record is
/// changed by packets only to become another, and then the exchange fails.
pub fn sweep<S: FlowCells>(set: &S, now_ns: u64) -> usize {
    let now = tick(now_ns);
    let mut freed = 0;
    for entry in 0..ENTRIES_PER_SET {
        let a = set.load(2 * entry);
        let b = set.load(2 * entry + 1);
        let Some(record) = Record::unpack(a, b) else {
            continue;
        };
        let overdue = now.wrapping_sub(record.deadline);
        let long_past = overdue >> 31 == 0 && overdue > SWEEP_AFTER_TICKS;
        // Entry 0 of a locked set stays: its word A is the lock.
        if long_past && a & LOCK == 0 && set.compare_exchange(2 * entry, a, 0) == a {
            freed += 1;
        }
    }
    freed
}

/// Frees records of `number`, whose meaning changes, and returns how many. Takes no lock, as [`sweep`].
pub fn forget<S: FlowCells>(set: &S, number: u16) -> usize {
    let mut freed = 0;
    for entry in 0..ENTRIES_PER_SET {
        let a = set.load(2 * entry);
        let named = Record::unpack(a, 0).is_some_and(|record| record.backend == number);
        if named && a & LOCK == 0 && set.compare_exchange(2 * entry, a, 0) == a {
            freed += 1;
        }
    }
    freed
}

/// A record of the flow in question as it lies in its set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Bit of its entry; 0: there is none.
    pub(super) bit: u64,
    /// Its word A.
    pub(super) a: u64,
    /// Its word B.
    pub(super) b: u64,
}

impl Found {
    #[inline(always)]
    pub(super) const fn backend(&self) -> u16 {
        self.a as u16
    }

    #[inline(always)]
    pub(super) const fn low(&self) -> u32 {
        self.b as u32
    }

    #[inline(always)]
    pub(super) const fn deadline(&self) -> u32 {
        (self.b >> 32) as u32
    }

    #[inline(always)]
    pub(super) const fn closing(&self) -> bool {
        self.a & CLOSING != 0
    }

    #[inline(always)]
    pub(super) const fn is_learned(&self) -> bool {
        (self.a >> KIND_SHIFT) & 3 == Kind::Learned as u64
    }

    #[inline(always)]
    pub(super) const fn is_expired(&self, now: u32) -> bool {
        passed(self.deadline(), now)
    }
}

/// What a look at a set shows: the flow's own records, expired or not, and the room there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// The flow's learned or confirmed record.
    pub(super) confirmed: Found,
    /// The flow's pending record.
    pub(super) pending: Found,
    occupied: u64,
    /// Pending records that give way, see [`PENDING_SPARE_NS`].
    old_pending: u64,
    pending_live: u64,
    learned_live: u64,
}

impl Scan {
    /// Looks at all entries for records with the tag.
    #[inline(always)]
    pub(super) fn of(words: &[u64; WORDS_PER_SET], tag: u64, now: u32) -> Self {
        let mut scan = Self::default();
        scan.add::<0>(words[0], words[1], tag, now);
        scan.add::<1>(words[2], words[3], tag, now);
        scan.add::<2>(words[4], words[5], tag, now);
        scan.add::<3>(words[6], words[7], tag, now);
        scan
    }

    /// The same for a set whose lock is held; `word0` is what [`lock`] returned. Entry by entry: all words at once
    /// would lie on the stack, of which the kernel has little.
    #[inline(always)]
    pub(super) fn of_locked<S: FlowCells>(set: &S, word0: u64, tag: u64, now: u32) -> Self {
        let mut scan = Self::default();
        scan.add::<0>(word0, set.load(1), tag, now);
        scan.add::<1>(set.load(2), set.load(3), tag, now);
        scan.add::<2>(set.load(4), set.load(5), tag, now);
        scan.add::<3>(set.load(6), set.load(7), tag, now);
        scan
    }

    #[inline(always)]
    fn add<const ENTRY: u32>(&mut self, a: u64, b: u64, tag: u64, now: u32) {
        let kind = a >> KIND_SHIFT;
        let low = kind & 1;
        let high = (kind >> 1) & 1;
        // 1 where the difference is 0: it has 44 bits, so only 0 - 1 sets bit 63.
        let hit = (((a >> TAG_SHIFT) & TAG_MASK) ^ tag).wrapping_sub(1) >> 63;
        let left = (b >> 32).wrapping_sub(u64::from(now)) & 0xffff_ffff;
        let unexpired = (left >> 31) ^ 1;
        let live = (low | high) & unexpired;
        let old = left.wrapping_sub(PENDING_SPARE_TICKS) >> 63;

        let pending = hit & low & (high ^ 1);
        let select = pending.wrapping_neg();
        self.pending.bit |= pending << ENTRY;
        self.pending.a |= a & select;
        self.pending.b |= b & select;

        let confirmed = hit & high;
        let select = confirmed.wrapping_neg();
        self.confirmed.bit |= confirmed << ENTRY;
        self.confirmed.a |= a & select;
        self.confirmed.b |= b & select;

        self.occupied |= live << ENTRY;
        self.old_pending |= (live & low & (high ^ 1) & old) << ENTRY;
        self.pending_live += live & low & (high ^ 1);
        self.learned_live += live & high & (low ^ 1);
    }

    /// Bit of the entry for a pending record of the flow; 0 where there is no room.
    #[inline(always)]
    pub(super) fn room_for_pending(&self) -> u64 {
        // An unexpired one of its own is counted already.
        if self.pending.bit & self.occupied != 0 {
            return self.pending.bit;
        }
        let room = self.room(self.pending.bit, self.pending_live);
        if room != 0 {
            return room;
        }
        self.old_pending & self.old_pending.wrapping_neg()
    }

    /// Whether room for a pending record will be there soon: some of it is held by pending records.
    #[inline(always)]
    pub(super) const fn room_comes(&self) -> bool {
        self.pending_live != 0
    }

    /// Bit of the entry for a learned record of the flow; 0 where there is no room, or where it would be the last one
    /// that is left for a SYN. That every entry but one may be taken is exact without a mark in records of how they
    /// began: where two are free, at most two of the others began as learned.
    #[inline(always)]
    pub(super) fn room_for_learned(&self) -> u64 {
        let free = !self.occupied & ALL_ENTRIES | self.confirmed.bit;
        if free & free.wrapping_sub(1) == 0 {
            return 0;
        }
        self.room(self.confirmed.bit, self.learned_live)
    }

    /// The flow's own entry, live or not, comes first: a flow never has two records of one sort.
    #[inline(always)]
    fn room(&self, own: u64, taken: u64) -> u64 {
        if taken >= QUOTA {
            return 0;
        }
        if own != 0 {
            return own;
        }
        let free = !self.occupied & ALL_ENTRIES;
        free & free.wrapping_neg()
    }
}

/// Number of the entry that a bit stands for.
#[inline(always)]
pub(super) const fn entry_of(bit: u64) -> usize {
    ((bit >> 1) - (bit >> 3)) as usize & (ENTRIES_PER_SET - 1)
}

/// Words of a record; `low` as in [`Record::low`].
#[inline(always)]
pub(super) const fn words_of(
    kind: Kind,
    closing: bool,
    tag: u64,
    backend: u16,
    deadline: u32,
    low: u32,
) -> (u64, u64) {
    Record {
        kind,
        closing,
        tag,
        backend,
        deadline,
        low,
    }
    .pack()
}

/// Word A with another kind and closing mark.
#[inline(always)]
pub(super) const fn with_state(a: u64, kind: Kind, closing: bool) -> u64 {
    a & !(3 << KIND_SHIFT | CLOSING | LOCK) | (kind as u64) << KIND_SHIFT | (closing as u64) << 60
}

/// Word B.
#[inline(always)]
pub(super) const fn time_word(deadline: u32, low: u32) -> u64 {
    (deadline as u64) << 32 | low as u64
}
