//! The layout of every BPF map: one definition for the kernel and for user space.
//!
//! All values are plain old data without padding (`bytemuck::Pod` refuses padding, `bool` and enums).
//! Numbers are in host byte order unless a field says *network order*.

mod backend;
mod counter;
mod flow;
mod fragment;
mod hairpin;
mod route;
mod service;
mod slot;

pub use backend::{Backend, Reply, ReplyKey, Traffic};
pub use counter::{Counter, Verdict};
pub use flow::{ENTRIES_PER_SET, FlowSet, WORDS_PER_SET};
pub use fragment::{Fragment, FragmentKey};
pub use hairpin::{Hairpin, HairpinKey, Leg};
pub use route::RouteKey;
pub use service::{Affinity, Flows, Interface, Mode, Prefix, Service, ServiceKey, Settings, Vip};
pub use slot::{SlotState, SlotWord, Stamp, Stamps};

/// Version of the layouts below; part of the folder name in bpffs, so that a daemon never reads maps of another layout.
pub const ABI_VERSION: u32 = 2;

/// Names of the maps, as they stand in the object and in bpffs.
pub mod maps {
    /// One [`Settings`](super::Settings).
    pub const SETTINGS: &str = "SETTINGS";
    /// [`Address`](super::Address) → [`Vip`](super::Vip).
    pub const VIPS: &str = "VIPS";
    /// [`ServiceKey`](super::ServiceKey) → index in [`SERVICES`].
    pub const SERVICE_KEYS: &str = "SERVICE_KEYS";
    /// Array of [`Service`](super::Service).
    pub const SERVICES: &str = "SERVICES";
    /// Memory-mapped array of [`SlotWord`](super::SlotWord).
    pub const SLOTS: &str = "SLOTS";
    /// Memory-mapped array of [`Stamps`](super::Stamps), index for index with [`SLOTS`].
    pub const STAMPS: &str = "STAMPS";
    /// Memory-mapped array of [`Backend`](super::Backend).
    pub const BACKENDS: &str = "BACKENDS";
    /// Memory-mapped array of [`FlowSet`](super::FlowSet).
    pub const FLOWS: &str = "FLOWS";
    /// Trie of longest prefixes: [`RouteKey`](super::RouteKey) → first slot of the row that governs these clients.
    pub const ROUTES: &str = "ROUTES";
    /// [`ReplyKey`](super::ReplyKey) → [`Reply`](super::Reply).
    pub const REPLIES: &str = "REPLIES";
    /// Memory-mapped array of [`FlowSet`](super::FlowSet): whose flow it is that a shared backend answers.
    pub const REVERSE: &str = "REVERSE";
    /// Addresses of `nat` backends: [`Address`](super::Address) → `u32` 1.
    pub const NAT_ADDRESSES: &str = "NAT_ADDRESSES";
    /// [`HairpinKey`](super::HairpinKey) → [`Hairpin`](super::Hairpin).
    pub const HAIRPINS: &str = "HAIRPINS";
    /// Addresses that this host owns: [`Address`](super::Address) → `u32` 1.
    pub const OWN_ADDRESSES: &str = "OWN_ADDRESSES";
    /// Interface index → [`Interface`](super::Interface).
    pub const INTERFACES: &str = "INTERFACES";
    /// Per-CPU array of `u64`, index [`Counter`](super::Counter).
    pub const COUNTERS: &str = "COUNTERS";
    /// Per-CPU array of [`Traffic`](super::Traffic), index for index with [`BACKENDS`].
    pub const TRAFFIC: &str = "TRAFFIC";
    /// [`FragmentKey`](super::FragmentKey) → [`Fragment`](super::Fragment); the least recently used go first.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// Array of `u64`: the sampled table of handshakes under way, for the measured share.
    pub const HANDSHAKES: &str = "HANDSHAKES";
    /// Per-CPU array of one `u64`: the time, nanoseconds, at which the ICMP errors sent so far are paid for.
    pub const ICMP_BUDGET: &str = "ICMP_BUDGET";
}

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2), network order.
pub type Address = [u8; 16];

/// The IPv4-mapped form of an IPv4 address.
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> Address {
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3],
    ]
}
