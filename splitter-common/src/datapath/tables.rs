//! The tables that steering reads and writes: one seam for the kernel's maps, for memory on the host,
//! and for the model of flows and owners, which runs other packets and daemon writes between any two calls.

use core::ops::Deref;

use crate::abi::{
    Address, Backend, Counter, Fragment, FragmentKey, Hairpin, HairpinKey, Interface, Reply,
    ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotWord, Stamp, Vip,
};

/// The stamps of one slot. Each call is one access to memory.
pub trait StampCells {
    /// Reads a stamp, nanoseconds.
    fn load(&self, stamp: Stamp) -> u64;
    /// Writes a stamp, nanoseconds.
    fn store(&self, stamp: Stamp, ns: u64);
}

/// One set of the flow table. Each call is one access to memory; `word` is less than `WORDS_PER_SET`.
pub trait FlowCells {
    /// Reads a word.
    fn load(&self, word: usize) -> u64;
    /// Writes a word; what was written before becomes visible before it (release).
    fn store(&self, word: usize, value: u64);
    /// Writes `new` where `old` stands and returns what stood there (sequentially consistent).
    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64;
}

/// Where a packet to an address goes, as the kernel's routing says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Interface to send it on.
    pub interface: u32,
    /// Destination MAC.
    pub destination_mac: [u8; 6],
    /// Source MAC.
    pub source_mac: [u8; 6],
}

/// The tables that a slot in transition is decided by.
pub trait SlotTables {
    /// Handle of a slot's stamps.
    type Stamps: StampCells;
    /// Handle of a flow set.
    type FlowSet: FlowCells;
    /// Coarse monotonic clock, nanoseconds.
    fn now(&self) -> u64;
    /// Host-wide values.
    fn settings(&self) -> Option<&Settings>;
    /// A slot's word, by its index in `SLOTS`: one load.
    fn slot(&self, index: u32) -> Option<SlotWord>;
    /// A slot's stamps, by the same index.
    fn stamps(&self, index: u32) -> Option<Self::Stamps>;
    /// A set of the flow table.
    fn flow_set(&self, index: u32) -> Option<Self::FlowSet>;
    /// A backend by its index in `BACKENDS`.
    fn backend(&self, index: u32) -> Option<&Backend>;
}

/// All tables of the packet path.
pub trait Tables: SlotTables {
    /// Handle of a note of a first fragment.
    type Note<'a>: Deref<Target = Fragment>
    where
        Self: 'a;
    /// What is known of a VIP.
    fn vip(&self, address: &Address) -> Option<Vip>;
    /// Index of the service that a key names.
    fn service_index(&self, key: &ServiceKey) -> Option<u32>;
    /// A service by its index.
    fn service(&self, index: u32) -> Option<&Service>;
    /// First slot of the row of the longest prefix that has a client.
    fn row(&self, key: &RouteKey) -> Option<u32>;
    /// What the source of a reply becomes.
    fn reply(&self, key: &ReplyKey) -> Option<&Reply>;
    /// A set of the table of reverse records.
    fn reverse_set(&self, index: u32) -> Option<Self::FlowSet>;
    /// Whether an address is that of a `nat` backend.
    fn is_backend(&self, address: &Address) -> bool;
    /// A call of a backend that comes back to where it came from.
    fn hairpin(&self, key: &HairpinKey) -> Option<&Hairpin>;
    /// Remembers one; false where that failed. One that is `new` fails where the key is taken.
    fn set_hairpin(&self, key: &HairpinKey, hairpin: &Hairpin, new: bool) -> bool;
    /// Whether this host owns an address itself.
    fn owns(&self, address: &Address) -> bool;
    /// An interface that carries the program.
    fn interface(&self, index: u32) -> Option<&Interface>;
    /// Where the first fragment of a datagram went.
    fn fragment(&self, key: &FragmentKey) -> Option<Self::Note<'_>>;
    /// Notes where it went.
    fn set_fragment(&self, key: &FragmentKey, fragment: &Fragment);
    /// Cell of the table of sampled handshakes: reads it.
    fn handshake(&self, cell: u32) -> u64;
    /// Writes a cell of the table of sampled handshakes.
    fn set_handshake(&self, cell: u32, value: u64);
    /// Adds one packet to a counter.
    fn count(&self, counter: Counter);
    /// Adds to what was sent to a backend (index in `BACKENDS`).
    fn count_traffic(&self, backend: u32, bytes: u64, syn: bool, handshake: bool);
}
