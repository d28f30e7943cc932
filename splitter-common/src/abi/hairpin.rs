//! Calls of backends to a `nat` VIP that lead back to the link they came from.

use bytemuck::{Pod, Zeroable};

use super::Address;

/// Which way a packet of such a call goes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// From the caller to the VIP.
    Call = 0,
    /// From the chosen backend to the hairpin source.
    Answer = 1,
}

/// What a packet of such a call says: the leg's own end is `near`, what it is sent to `far`, as the caller sees it in a
/// call; in an answer `near` is the hairpin source and `far` the backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct HairpinKey {
    /// The caller, or the hairpin source.
    pub near: Address,
    /// The VIP, or the backend.
    pub far: Address,
    /// Port of `near`, host order.
    pub near_port: u16,
    /// Port of `far`, host order.
    pub far_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Leg`].
    pub leg: u8,
    /// Zero.
    pub reserved: u16,
}

/// Such a call; the same under both of its keys.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Hairpin {
    /// The caller.
    pub caller: Address,
    /// The VIP that it dialled.
    pub vip: Address,
    /// The backend that it got.
    pub backend: Address,
    /// The caller's port, host order.
    pub caller_port: u16,
    /// The port that it dialled, host order.
    pub vip_port: u16,
    /// The backend's port, host order.
    pub backend_port: u16,
    /// The port at the hairpin source, host order.
    pub port: u16,
    /// When a packet of the caller was last seen, to a second; nanoseconds of the coarse monotonic clock.
    pub seen: u64,
}
