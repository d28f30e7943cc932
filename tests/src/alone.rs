//! One heavy lab at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the test that runs a heavy lab, so that those of one binary do not take the machine from each other.
///
/// Not taken by [`crate::lab::Lab::new`]: a test may need two labs.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // It protects no data, so a test that failed while it held it leaves nothing behind.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
