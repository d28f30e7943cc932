//! The front of an array map in our memory: reading it costs no system call.

use anyhow::{Context, Result};
use aya::maps::MapData;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are mapped: more than any world of the tests fills.
const MOST: usize = 1 << 20;

/// A mapped array map.
pub(super) struct Window {
    base: NonNull<AtomicU64>,
    bytes: usize,
}

impl Window {
    /// Maps the front of a map whose values are whole words.
    pub(super) fn new(map: &MapData) -> Result<Self> {
        let info = map.info()?;
        let bytes = (info.max_entries() as usize * info.value_size() as usize).min(MOST);
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing; the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).context("mapping a map");
        }
        let base = NonNull::new(base.cast()).context("a mapping at address 0")?;
        Ok(Self { base, bytes })
    }

    /// The word at that index.
    ///
    /// # Panics
    ///
    /// If it lies beyond what is mapped.
    pub(super) fn word(&self, index: usize) -> u64 {
        assert!((index + 1) * 8 <= self.bytes, "word {index} is not mapped");
        // SAFETY: in bounds by the assertion, aligned as a mapping starts on a page, valid as long as `self`, and never
        // borrowed as anything but an atomic.
        unsafe { self.base.add(index).as_ref() }.load(Ordering::Acquire)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, to which no reference is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
