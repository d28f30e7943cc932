//! What the rules answer, in numbers that always have a value.
//!
//! Of an `Option` or a `Result`, LLVM leaves the inner value undefined in the variant that has none, moves it about
//! all the same, and the verifier refuses to see an uninitialised register moved. These have no such variant.

use crate::abi::Counter;

/// Where a packet goes (a backend's number local to the service), or the counter of its drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice(u32);

impl Choice {
    const DROP: u32 = 1 << 16;

    /// To a backend.
    #[inline(always)]
    pub const fn to(backend: u16) -> Self {
        Self(backend as u32)
    }

    /// Dropped in a hand-over, for want of room, for a busy set, or by a fault.
    #[inline(always)]
    pub const fn drop(counter: Counter) -> Self {
        Self(Self::DROP | counter as u32)
    }

    /// For those who can have a `Result`.
    #[inline(always)]
    pub const fn result(self) -> Result<u16, Counter> {
        if self.0 < Self::DROP {
            return Ok(self.0 as u16);
        }
        const HANDOVER: u32 = Counter::DropHandover as u32;
        const NO_ROOM: u32 = Counter::DropNoRoom as u32;
        const BUSY: u32 = Counter::DropBusy as u32;
        Err(match self.0 & !Self::DROP {
            HANDOVER => Counter::DropHandover,
            NO_ROOM => Counter::DropNoRoom,
            BUSY => Counter::DropBusy,
            _ => Counter::DropInternal,
        })
    }
}

/// The backend of a record, if the record counts.
#[derive(Clone, Copy, Debug)]
pub struct Owner(u32);

impl Owner {
    /// The record does not count, or there is none.
    pub const NONE: Self = Self(u32::MAX);

    /// A backend's number local to the service.
    #[inline(always)]
    pub const fn of(backend: u16) -> Self {
        Self(backend as u32)
    }

    /// For those who can have an `Option`.
    #[inline(always)]
    pub const fn get(self) -> Option<u16> {
        if self.0 <= u16::MAX as u32 {
            Some(self.0 as u16)
        } else {
            None
        }
    }
}
