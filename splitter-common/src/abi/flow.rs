//! The flow table: an array of one-cache-line sets. How entries are packed is `datapath::flow_table`'s.

use bytemuck::{Pod, Zeroable};

/// Entries of two words in a set.
pub const ENTRIES_PER_SET: usize = 4;
/// 64-bit words in a set.
pub const WORDS_PER_SET: usize = 2 * ENTRIES_PER_SET;

/// A set of flow records, one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FlowSet {
    /// The entries' words.
    pub words: [u64; WORDS_PER_SET],
}
