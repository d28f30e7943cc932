//! Arrays of the kernel in our memory: read and written one 64-bit word at a time.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use splitter_common::datapath::tables::FlowCells;

/// A memory-mapped array map. All access goes through atomic words, as the packet path's does: the kernel writes at
/// the same time.
#[derive(Debug)]
pub(super) struct Mapped {
    base: NonNull<AtomicU64>,
    entries: u32,
    words_per_entry: usize,
    bytes: usize,
}

// SAFETY: the mapping is plain shared memory that lives until `Mapped` is dropped, belongs to no thread, and is only
// touched through atomics.
unsafe impl Send for Mapped {}
// SAFETY: as above; `&Mapped` gives nothing but atomic access.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `entries` values of `value_size` bytes, a multiple of 8, of a map that was made with `BPF_F_MMAPABLE`.
    pub(super) fn new(map: BorrowedFd<'_>, entries: u32, value_size: usize) -> io::Result<Self> {
        assert!(value_size > 0 && value_size.is_multiple_of(8));
        let bytes = entries as usize * value_size;
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing; the result is checked.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            base,
            entries,
            words_per_entry: value_size / 8,
            bytes,
        })
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// Reads a word of an entry; both in bounds.
    pub(super) fn load(&self, entry: u32, word: usize) -> u64 {
        self.word(entry, word).load(Ordering::Acquire)
    }

    /// Writes a word of an entry; both in bounds. What was written before becomes visible before it.
    pub(super) fn store(&self, entry: u32, word: usize, value: u64) {
        self.word(entry, word).store(value, Ordering::Release);
    }

    fn word(&self, entry: u32, word: usize) -> &AtomicU64 {
        assert!(
            entry < self.entries && word < self.words_per_entry,
            "entry {entry} of {}, word {word} of {}",
            self.entries,
            self.words_per_entry
        );
        // SAFETY: in bounds by the assertion; a mapping starts on a page, so every word is aligned; it is valid for as
        // long as `self` is, and nobody makes a non-atomic reference to it.
        unsafe {
            self.base
                .add(entry as usize * self.words_per_entry + word)
                .as_ref()
        }
    }
}

/// One entry of the flow table.
pub(super) struct Entry<'a> {
    map: &'a Mapped,
    index: u32,
}

impl<'a> Entry<'a> {
    /// The entry at `index`, in bounds.
    pub(super) fn new(map: &'a Mapped, index: u32) -> Self {
        Self { map, index }
    }
}

impl FlowCells for Entry<'_> {
    fn load(&self, word: usize) -> u64 {
        self.map.load(self.index, word)
    }

    fn store(&self, word: usize, value: u64) {
        self.map.store(self.index, word, value);
    }

    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        let order = Ordering::SeqCst;
        let cell = self.map.word(self.index, word);
        match cell.compare_exchange(old, new, order, order) {
            Ok(found) | Err(found) => found,
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` are those of the mapping that `new` made, and no reference outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
