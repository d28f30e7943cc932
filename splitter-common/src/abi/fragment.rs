//! Fragments: where the first one of a datagram went.

use bytemuck::{Pod, Zeroable};

use super::Address;

/// What the fragments of one datagram have in common (RFC 791 §3.2, RFC 8200 §4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct FragmentKey {
    /// Source.
    pub source: Address,
    /// Destination.
    pub destination: Address,
    /// Identification.
    pub id: u32,
    /// IPv4: protocol number; IPv6: 0, there the datagram is named without it.
    pub protocol: u32,
}

/// Where a first fragment went.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Fragment {
    /// When, in nanoseconds of the coarse monotonic clock.
    pub seen_ns: u64,
    /// One of the constants below.
    pub way: u32,
    /// To a backend: index of its service in `SERVICES`.
    pub service: u32,
    /// To a backend: its index in `BACKENDS`.
    pub backend: u32,
    /// Where its data ends in the datagram, in units of 8 bytes: no later fragment begins before.
    pub end: u32,
    /// A reply: the VIP that its source became.
    pub vip: Address,
}

impl Fragment {
    /// Left to the stack.
    pub const STACK: u32 = 0;
    /// To a backend.
    pub const BACKEND: u32 = 1;
    /// A backend's reply, to a client.
    pub const REPLY: u32 = 2;
}
