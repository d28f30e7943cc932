//! Backends, the way back from them, and what was sent to them.

use bytemuck::{Pod, Zeroable};

use super::Address;

/// A backend and its next hop, one cache line.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Backend {
    /// Its address.
    pub address: Address,
    /// Index of the interface that leads to it; 0 while the next hop is not known.
    pub interface: u32,
    /// [`Backend::ALIVE`] and the other flags.
    pub flags: u32,
    /// Destination MAC of frames to it.
    pub destination_mac: [u8; 6],
    /// Source MAC of frames to it: the interface's own.
    pub source_mac: [u8; 6],
    /// Destination port in `nat` mode, host order; 0 keeps the client's.
    pub port: u16,
    /// MTU of the interface that leads to it in bytes; 0 when unknown.
    pub mtu: u16,
    /// Zero.
    pub reserved: [u32; 6],
}

impl Backend {
    /// Records and slot words that name it count; cleared when it died or was removed.
    pub const ALIVE: u32 = 1;
    /// It runs on this host: packets are delivered through the stack, replies pass TC egress (`nat` only).
    pub const LOCAL: u32 = 2;
    /// Other services send to the same address and port: its flows have reverse records (`nat` only).
    pub const SHARED: u32 = 4;

    /// Whether `flag` is set.
    #[inline(always)]
    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// The source of a packet that may be a reply in `nat` mode.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct ReplyKey {
    /// The backend's address.
    pub address: Address,
    /// The backend's port, host order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
}

/// What the source of a reply becomes: of every one, or of those without a reverse record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Reply {
    /// The VIP.
    pub vip: Address,
    /// The service's port, host order.
    pub port: u16,
    /// 1: other services send to the same backend, so a flow's reverse record is asked first.
    pub shared: u16,
}

/// What was sent to one backend, by one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of these frames as they came in.
    pub bytes: u64,
    /// SYNs, retransmitted ones included.
    pub syns: u64,
    /// Handshakes seen to complete (sampled, see `HANDSHAKES`): what the measured share is made of.
    pub handshakes: u64,
}
