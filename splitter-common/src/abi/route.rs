//! Routes: prefixes of clients that have a row of slots of their own.

use bytemuck::{Pod, Zeroable};

use super::Address;

/// Key of a longest-prefix-match trie: the first `prefix_length` bits of what follows count, in memory order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct RouteKey {
    /// Bits that count: 32 for the service, and those of the address, whose mapped form has 96 before IPv4.
    pub prefix_length: u32,
    /// First slot of the service's default row: names the service.
    pub first_slot: u32,
    /// The clients' address.
    pub address: Address,
}

impl RouteKey {
    /// Bits before those of the address.
    pub const SERVICE_BITS: u32 = 32;

    /// The key that asks for a client: all bits count.
    #[inline(always)]
    pub const fn of_client(first_slot: u32, address: &Address) -> Self {
        Self {
            prefix_length: Self::SERVICE_BITS + 128,
            first_slot,
            address: *address,
        }
    }
}
