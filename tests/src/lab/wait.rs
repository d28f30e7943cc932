//! Waiting for conditions, and the clock that all processes of a lab share.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::time::{ClockId, clock_gettime};

/// Polls until `ready` gives a value, for at most `limit`; `what` names the condition in the error.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Nanoseconds of the monotonic clock: the same for every process of the machine, so reports can be compared.
pub fn now_ns() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the monotonic clock can always be read");
    Duration::from(now).as_nanos() as u64
}
