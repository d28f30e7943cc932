//! The maps and links in the kernel, behind a trait so that the daemon's loop can be tested in memory.
//!
//! [`Dataplane`] is the seam; [`Kernel`] is the real one and `fake` (tests only) the one in memory. Only this folder
//! names aya, and only here is memory shared with the kernel.

mod error;
#[cfg(test)]
pub mod fake;
mod kernel;
mod lock;
mod pins;
mod unlink;

use splitter_common::abi::{
    Address, Backend, FlowSet, Interface, Reply, ReplyKey, RouteKey, Service, ServiceKey, Settings,
    SlotWord, Stamp, Stamps, Traffic, Vip,
};
use splitter_common::datapath::tables::FlowCells;

pub use error::DataplaneError;
pub use kernel::{Attached, Found, Kernel, Sizes};
pub use pins::{Detached, detach};

/// Entries of the map of services.
pub const MAX_SERVICES: u32 = 1024;
/// Ports of all services, and ways back of all `nat` backends.
pub const MAX_PORTS: u32 = 65_536;
/// Entries of the map of backends: a flow record names one in 16 bits. A thousand services with 64 backends each fit.
pub const MAX_BACKENDS: u32 = 65_536;
/// Entries of the map of hairpin calls, two for a call.
pub const HAIRPIN_ENTRIES: u32 = 65_536;
/// Datagrams whose first fragment is remembered.
pub const FRAGMENTS: u32 = 65_536;
/// Entries of the trie of routes, of all services.
pub const MAX_ROUTES: u32 = 16_384;
/// Cells of the table of sampled handshakes; a power of two.
pub const HANDSHAKE_CELLS: u32 = 65_536;

/// What the daemon does to the maps. A single writer is assumed: the daemon that holds the folder's lock.
///
/// Slot words, stamps and backends are seen by the packet path while they change, so an implementation stores each
/// word whole; see [`backend_words`] for the order within a backend.
pub trait Dataplane: Send {
    /// Host-wide values; all zero when they were never written.
    fn settings(&self) -> Result<Settings, DataplaneError>;
    /// Writes the host-wide values.
    fn set_settings(&mut self, settings: &Settings) -> Result<(), DataplaneError>;

    /// A service by its index, less than [`MAX_SERVICES`].
    fn service(&self, index: u32) -> Result<Service, DataplaneError>;
    /// Writes a service.
    fn set_service(&mut self, index: u32, service: &Service) -> Result<(), DataplaneError>;

    /// All look-up keys with the index that they lead to.
    fn service_keys(&self) -> Result<Vec<(ServiceKey, u32)>, DataplaneError>;
    /// Writes a look-up key, or removes it.
    fn set_service_key(
        &mut self,
        key: &ServiceKey,
        index: Option<u32>,
    ) -> Result<(), DataplaneError>;

    /// All VIPs.
    fn vips(&self) -> Result<Vec<(Address, Vip)>, DataplaneError>;
    /// Writes a VIP, or removes it.
    fn set_vip(&mut self, address: &Address, vip: Option<Vip>) -> Result<(), DataplaneError>;

    /// All routes: prefixes, and the first slots of the rows that govern them.
    fn routes(&self) -> Result<Vec<(RouteKey, u32)>, DataplaneError>;
    /// Writes a route, or removes it.
    fn set_route(&mut self, key: &RouteKey, row: Option<u32>) -> Result<(), DataplaneError>;

    /// All sources of replies.
    fn replies(&self) -> Result<Vec<(ReplyKey, Reply)>, DataplaneError>;
    /// Writes what a reply's source becomes, or removes it.
    fn set_reply(&mut self, key: &ReplyKey, reply: Option<Reply>) -> Result<(), DataplaneError>;

    /// All addresses of `nat` backends.
    fn nat_addresses(&self) -> Result<Vec<Address>, DataplaneError>;
    /// Adds or removes an address of a `nat` backend.
    fn set_nat_address(&mut self, address: &Address, there: bool) -> Result<(), DataplaneError>;

    /// All addresses of this host.
    fn own_addresses(&self) -> Result<Vec<Address>, DataplaneError>;
    /// Adds or removes an address of this host.
    fn set_own_address(&mut self, address: &Address, own: bool) -> Result<(), DataplaneError>;

    /// All interfaces that carry the program.
    fn interfaces(&self) -> Result<Vec<(u32, Interface)>, DataplaneError>;
    /// Writes an interface, or removes it.
    fn set_interface(
        &mut self,
        index: u32,
        interface: Option<Interface>,
    ) -> Result<(), DataplaneError>;

    /// A backend by its index, less than [`MAX_BACKENDS`].
    fn backend(&self, index: u32) -> Result<Backend, DataplaneError>;
    /// Writes a backend, word by word in the order of [`backend_words`].
    fn set_backend(&mut self, index: u32, backend: &Backend) -> Result<(), DataplaneError>;

    /// Number of slots of all services together.
    fn slot_room(&self) -> u32;
    /// A slot's word.
    fn slot(&self, index: u32) -> Result<SlotWord, DataplaneError>;
    /// Writes a slot's word, whole.
    fn set_slot(&mut self, index: u32, word: SlotWord) -> Result<(), DataplaneError>;
    /// A slot's stamps.
    fn stamps(&self, index: u32) -> Result<Stamps, DataplaneError>;
    /// Writes one stamp.
    fn set_stamp(&mut self, index: u32, stamp: Stamp, ns: u64) -> Result<(), DataplaneError>;

    /// Number of flow sets.
    fn flow_sets(&self) -> u32;
    /// A flow set; its words may be of different moments.
    fn flow_set(&self, index: u32) -> Result<FlowSet, DataplaneError>;

    /// A flow set that can be written to.
    fn flow_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError>;

    /// Number of sets of reverse records.
    fn reverse_sets(&self) -> u32;
    /// A set of reverse records that can be written to.
    fn reverse_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError>;

    /// The counters, summed over the CPUs, in the order of their indices.
    fn counters(&self) -> Result<Vec<u64>, DataplaneError>;
    /// What was sent to a backend, summed over the CPUs.
    fn traffic(&self, backend: u32) -> Result<Traffic, DataplaneError>;
    /// Sets what was sent to a backend to nothing: its index gets another meaning.
    fn clear_traffic(&mut self, backend: u32) -> Result<(), DataplaneError>;

    /// Returns when every program run that began before the call has ended.
    fn grace(&mut self) -> Result<(), DataplaneError>;
}

/// Words of a [`Backend`] in the order in which they may be stored while packets are steered to it, with their places.
///
/// The interface and the flags share a word. It goes last, so that nobody follows half an entry, and where another
/// interface or another address moves in it is first cleared: packets are then dropped and counted as
/// `drop_next_hop` for a moment instead of leaving on one interface with the other's addresses.
pub fn backend_words(old: &Backend, new: &Backend) -> Vec<(usize, u64)> {
    const GATE: usize = 2;
    let old: [u64; 8] = bytemuck::cast(*old);
    let new: [u64; 8] = bytemuck::cast(*new);
    let mut order = Vec::new();
    let gate_shut = old[GATE] as u32 == 0;
    let moved = old[GATE] as u32 != new[GATE] as u32 || old[..GATE] != new[..GATE];
    let others = || (0..8).filter(|word| *word != GATE && old[*word] != new[*word]);
    if moved && !gate_shut && others().next().is_some() {
        // The interface is the low half of the word; the flags stay.
        order.push((GATE, old[GATE] & !u64::from(u32::MAX)));
    }
    order.extend(others().map(|word| (word, new[word])));
    if old[GATE] != new[GATE] || !order.is_empty() {
        order.push((GATE, new[GATE]));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(interface: u32, mac: u8) -> Backend {
        Backend {
            address: [7; 16],
            interface,
            flags: Backend::ALIVE,
            destination_mac: [mac; 6],
            source_mac: [9; 6],
            ..Backend::default()
        }
    }

    fn replay(old: &Backend, new: &Backend) -> Vec<Backend> {
        let mut words: [u64; 8] = bytemuck::cast(*old);
        backend_words(old, new)
            .into_iter()
            .map(|(place, word)| {
                words[place] = word;
                bytemuck::cast(words)
            })
            .collect()
    }

    #[test]
    fn a_change_of_interface_never_pairs_it_with_the_other_ones_addresses() {
        let (old, new) = (backend(3, 1), backend(4, 2));
        let steps = replay(&old, &new);
        assert_eq!(steps.last(), Some(&new));
        for step in &steps {
            match step.interface {
                0 => {}
                3 => assert_eq!(step, &old),
                4 => assert_eq!(step, &new),
                other => panic!("interface {other} was never asked for"),
            }
            assert!(step.is(Backend::ALIVE), "records must go on to count");
        }
    }

    #[test]
    fn a_new_backend_comes_to_life_with_its_last_word() {
        let new = backend(3, 1);
        let steps = replay(&Backend::default(), &new);
        let (last, before) = steps.split_last().expect("something changes");
        assert_eq!(last, &new);
        assert!(before.iter().all(|b| b.flags == 0 && b.interface == 0));
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        assert!(backend_words(&backend(3, 1), &backend(3, 1)).is_empty());
    }
}
