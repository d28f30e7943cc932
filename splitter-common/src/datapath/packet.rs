//! A frame as steering sees it: the second seam, with the kernel's packet and a byte vector behind it.

use super::tables::NextHop;
use crate::abi::Address;

/// A frame.
pub trait Packet {
    /// Length in bytes.
    fn len(&self) -> usize;
    /// Whether it has no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads `N` bytes at `offset`; none where the frame (or its linear part) ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
    /// Writes `N` bytes at `offset`; none, and nothing is written, where the frame ends before.
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()>;
    /// The same number; what the verifier knows of it is forgotten. It goes through the code behind a branch once for each
    /// different thing that it knows, so what the parser found out is put through this where all its ways meet.
    #[inline(always)]
    fn forget(&self, value: usize) -> usize {
        value
    }
    /// Moves the beginning of the frame: `bytes` more before it (their content is undefined until written), or fewer where
    /// negative. Offsets shift by as much. None, and nothing changes, where there is no room or not so much to take.
    fn grow_front(&mut self, bytes: i32) -> Option<()>;
    /// Cuts the frame's end off, or adds zeros, so that it has `len` bytes. None, and nothing changes, where that cannot
    /// be.
    fn set_len(&mut self, len: usize) -> Option<()>;
    /// Index of the interface it came in on.
    fn interface(&self) -> u32;
    /// Where the kernel's routing sends a packet of these addresses that came in here (`bpf_fib_lookup`); none where
    /// only the stack can tell (no neighbour yet, a local address, no route). `length` is that of the IP packet.
    fn route(
        &self,
        source: &Address,
        destination: &Address,
        protocol: u8,
        length: u16,
    ) -> Option<NextHop>;
}
