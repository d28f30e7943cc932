//! Slots: which backend owns the flows of a hash bucket, now and before.

use bytemuck::{Pod, Zeroable};

/// State of a slot. See `docs/transitions.md`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// All flows belong to `base`; the flow table is not looked at.
    Steady = 0,
    /// New flows go to `current` and get records; flows of `base` are learned.
    Track = 1,
    /// `base` is as `current` or became it; records of other backends still live.
    Residue = 2,
    /// One grace period between [`Track`](SlotState::Track) and [`Residue`](SlotState::Residue): nothing is learned.
    Handover = 3,
}

/// A slot in one word, read and written whole: bits 0–15 `base`, 16–31 `current`, 32–33 the state; the rest is zero.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SlotWord(pub u64);

impl SlotWord {
    /// Makes a word. `base` and `current` are backend numbers local to the service.
    #[inline(always)]
    pub const fn new(state: SlotState, base: u16, current: u16) -> Self {
        Self(base as u64 | (current as u64) << 16 | (state as u64) << 32)
    }

    /// A slot at rest.
    #[inline(always)]
    pub const fn steady(owner: u16) -> Self {
        Self::new(SlotState::Steady, owner, owner)
    }

    /// Where a flow without a record belongs.
    #[inline(always)]
    pub const fn base(self) -> u16 {
        self.0 as u16
    }

    /// Where a new flow goes.
    #[inline(always)]
    pub const fn current(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The state.
    #[inline(always)]
    pub const fn state(self) -> SlotState {
        match (self.0 >> 32) & 3 {
            0 => SlotState::Steady,
            1 => SlotState::Track,
            2 => SlotState::Residue,
            _ => SlotState::Handover,
        }
    }
}

/// Names a field of [`Stamps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// [`Stamps::unlogged`].
    Unlogged = 0,
    /// [`Stamps::bare_syn`].
    BareSyn = 1,
    /// [`Stamps::foreign`].
    Foreign = 2,
}

/// When things last happened in a slot, in nanoseconds of the coarse monotonic clock. Written in transitions only:
/// by the packet path, and by the daemon where a transition begins or ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Stamps {
    /// Last packet sent to `base` that left no record.
    pub unlogged: u64,
    /// Last SYN sent to `base` that left no record.
    pub bare_syn: u64,
    /// Last creation or refresh of a record whose backend is not `base`.
    pub foreign: u64,
    /// Zero.
    pub reserved: u64,
}
