//! The only place that reads the time.

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// Coarse monotonic clock, nanoseconds: the one that the packet path stamps with (`bpf_ktime_get_coarse_ns`).
    pub ns: u64,
    /// Wall clock, for people.
    pub wall: Timestamp,
}

/// Where the core has the time from; tests have their own.
pub(super) type Clock = Box<dyn Fn() -> Now + Send>;

/// Reads both clocks.
pub(super) fn now() -> Now {
    // The coarse clock exists on every Linux that has BPF links; zero would only make everything look young.
    let ns = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
    });
    Now {
        ns,
        wall: Timestamp::now(),
    }
}

/// When a timer that starts now and runs for `span` is due.
pub(super) fn due_in(span: Duration) -> Instant {
    Instant::now() + span
}
