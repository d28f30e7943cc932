//! The maps, and steering's tables over them.
//!
//! The sizes here are the least useful ones; the loader sets those that the configuration asks for. Maps that the
//! daemon reads and writes without system calls are memory-mappable.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key},
    helpers::generated::bpf_ktime_get_coarse_ns,
    macros::btf_map,
};
use splitter_common::abi::{
    Address, Backend, Counter, FlowSet, Fragment, FragmentKey, Hairpin, HairpinKey, Interface,
    Reply, ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotWord, Stamp, Stamps, Traffic,
    Vip,
};
use splitter_common::datapath::tables::{FlowCells, SlotTables, StampCells, Tables};

const MAPPED: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static VIPS: HashMap<Address, Vip, 64> = HashMap::new();
#[btf_map]
static SERVICE_KEYS: HashMap<ServiceKey, u32, 64> = HashMap::new();
#[btf_map]
static SERVICES: Array<Service, 64> = Array::new();
#[btf_map]
static SLOTS: Array<SlotWord, 1024, MAPPED> = Array::new();
#[btf_map]
static STAMPS: Array<Stamps, 1024, MAPPED> = Array::new();
#[btf_map]
static BACKENDS: Array<Backend, 64, MAPPED> = Array::new();
#[btf_map]
static FLOWS: Array<FlowSet, 1024, MAPPED> = Array::new();
#[btf_map]
static ROUTES: LpmTrie<[u8; 20], u32, 64> = LpmTrie::new();
#[btf_map]
static REPLIES: HashMap<ReplyKey, Reply, 64> = HashMap::new();
#[btf_map]
static REVERSE: Array<FlowSet, 1024, MAPPED> = Array::new();
#[btf_map]
static NAT_ADDRESSES: HashMap<Address, u32, 64> = HashMap::new();
#[btf_map]
static HAIRPINS: LruHashMap<HairpinKey, Hairpin, 1024> = LruHashMap::new();
#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, Fragment, 1024> = LruHashMap::new();
#[btf_map]
static OWN_ADDRESSES: HashMap<Address, u32, 64> = HashMap::new();
#[btf_map]
static INTERFACES: HashMap<u32, Interface, 64> = HashMap::new();
#[btf_map]
static COUNTERS: PerCpuArray<u64, { Counter::ALL.len() }> = PerCpuArray::new();
#[btf_map]
static TRAFFIC: PerCpuArray<Traffic, 64> = PerCpuArray::new();
#[btf_map]
static HANDSHAKES: Array<u64, 1024> = Array::new();

/// All maps.
pub(crate) struct Maps;

/// The stamps of a slot.
pub(crate) struct StampRow(*mut Stamps);

impl StampRow {
    #[inline(always)]
    fn cell(&self, stamp: Stamp) -> *mut u64 {
        let row = self.0;
        // SAFETY: the pointer is to a live map entry: array entries are never freed.
        unsafe {
            match stamp {
                Stamp::Unlogged => &raw mut (*row).unlogged,
                Stamp::BareSyn => &raw mut (*row).bare_syn,
                Stamp::Foreign => &raw mut (*row).foreign,
            }
        }
    }
}

impl StampCells for StampRow {
    #[inline(always)]
    fn load(&self, stamp: Stamp) -> u64 {
        // SAFETY: as in `cell`; other CPUs write the word too, and an aligned 64-bit access is never torn.
        unsafe { ptr::read_volatile(self.cell(stamp)) }
    }

    #[inline(always)]
    fn store(&self, stamp: Stamp, ns: u64) {
        // SAFETY: as for `load`.
        unsafe { ptr::write_volatile(self.cell(stamp), ns) };
    }
}

/// A set of the flow table.
pub(crate) struct Set(*mut FlowSet);

impl Set {
    /// A word; `word` is bounded again, in a way that the verifier sees.
    #[inline(always)]
    fn cell(&self, word: usize) -> *mut u64 {
        // SAFETY: masked to the eight words of a live map entry: array entries are never freed.
        unsafe { (&raw mut (*self.0).words).cast::<u64>().add(word & 7) }
    }
}

impl FlowCells for Set {
    #[inline(always)]
    fn load(&self, word: usize) -> u64 {
        // SAFETY: as in `cell`; other CPUs write the word too, and an aligned 64-bit access is never torn.
        unsafe { ptr::read_volatile(self.cell(word)) }
    }

    /// A release store. The BPF target has none below its newest instruction set, so the order is the compiler's
    /// (the fence) and the processor's: x86-64, the one that `splitter` supports, never lets a store pass another.
    #[inline(always)]
    fn store(&self, word: usize, value: u64) {
        compiler_fence(Ordering::Release);
        // SAFETY: as for `load`.
        unsafe { ptr::write_volatile(self.cell(word), value) };
    }

    #[inline(always)]
    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        let found: u64;
        // SAFETY: as in `cell`. In assembly because `core` has no 64-bit compare-and-exchange for this target.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({cell} + 0, r0, {new})",
                cell = in(reg) self.cell(word),
                new = in(reg) new,
                inout("r0") old => found,
                options(nostack),
            );
        }
        found
    }
}

impl SlotTables for Maps {
    type Stamps = StampRow;
    type FlowSet = Set;

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0)
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<SlotWord> {
        let word = SLOTS.get_ptr(index)?;
        // SAFETY: a live entry; the daemon writes the word too, and an aligned 64-bit access is never torn.
        Some(unsafe { ptr::read_volatile(word) })
    }

    #[inline(always)]
    fn stamps(&self, index: u32) -> Option<StampRow> {
        STAMPS.get_ptr_mut(index).map(StampRow)
    }

    #[inline(always)]
    fn flow_set(&self, index: u32) -> Option<Set> {
        FLOWS.get_ptr_mut(index).map(Set)
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&Backend> {
        BACKENDS.get(index)
    }
}

impl Tables for Maps {
    type Note<'a> = &'a Fragment;

    #[inline(always)]
    fn vip(&self, address: &Address) -> Option<Vip> {
        // SAFETY: copied at once; the daemon removes an entry long before its memory gets another key.
        unsafe { VIPS.get(address) }.copied()
    }

    #[inline(always)]
    fn service_index(&self, key: &ServiceKey) -> Option<u32> {
        // SAFETY: as for `vip`.
        unsafe { SERVICE_KEYS.get(key) }.copied()
    }

    #[inline(always)]
    fn service(&self, index: u32) -> Option<&Service> {
        SERVICES.get(index)
    }

    #[inline(always)]
    fn row(&self, key: &RouteKey) -> Option<u32> {
        const { assert!(size_of::<RouteKey>() == size_of::<Key<[u8; 20]>>()) };
        // SAFETY: both are a 32-bit length and 20 bytes after it without padding, and the packed one has no alignment.
        let key = unsafe { &*ptr::from_ref(key).cast::<Key<[u8; 20]>>() };
        ROUTES.get(key).copied()
    }

    #[inline(always)]
    fn reply(&self, key: &ReplyKey) -> Option<&Reply> {
        // SAFETY: only read, and before the program ends; as for `vip`.
        unsafe { REPLIES.get(key) }
    }

    #[inline(always)]
    fn reverse_set(&self, index: u32) -> Option<Set> {
        REVERSE.get_ptr_mut(index).map(Set)
    }

    #[inline(always)]
    fn is_backend(&self, address: &Address) -> bool {
        // SAFETY: only asked whether it is there.
        unsafe { NAT_ADDRESSES.get(address) }.is_some()
    }

    #[inline(always)]
    fn hairpin(&self, key: &HairpinKey) -> Option<&Hairpin> {
        // SAFETY: only read. An entry that is evicted at the same time may get another call's content: two keys and all
        // addresses of a call are compared, and what is sent by a wrong one belongs to no connection.
        unsafe { HAIRPINS.get(key) }
    }

    #[inline(always)]
    fn set_hairpin(&self, key: &HairpinKey, hairpin: &Hairpin, new: bool) -> bool {
        let flags = if new { u64::from(BPF_NOEXIST) } else { 0 };
        HAIRPINS.insert(key, hairpin, flags).is_ok()
    }

    #[inline(always)]
    fn owns(&self, address: &Address) -> bool {
        // SAFETY: only asked whether it is there.
        unsafe { OWN_ADDRESSES.get(address) }.is_some()
    }

    #[inline(always)]
    fn interface(&self, index: u32) -> Option<&Interface> {
        // SAFETY: only read, and before the program ends; as for `vip`.
        unsafe { INTERFACES.get(index) }
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<&Fragment> {
        // SAFETY: only read, and before the program ends. Another CPU may write the entry meanwhile: for a fragment of the
        // same name, or for another where the table is overrun; then a fragment goes astray, as in any overrun.
        unsafe { FRAGMENTS.get(key) }
    }

    #[inline(always)]
    fn set_fragment(&self, key: &FragmentKey, fragment: &Fragment) {
        // Where the table refuses, the later fragments are dropped and counted.
        let _ = FRAGMENTS.insert(key, fragment, 0);
    }

    #[inline(always)]
    fn handshake(&self, cell: u32) -> u64 {
        match HANDSHAKES.get_ptr(cell) {
            // SAFETY: a live entry; an aligned 64-bit access is never torn.
            Some(cell) => unsafe { ptr::read_volatile(cell) },
            None => 0,
        }
    }

    #[inline(always)]
    fn set_handshake(&self, cell: u32, value: u64) {
        if let Some(cell) = HANDSHAKES.get_ptr_mut(cell) {
            // SAFETY: as for `handshake`.
            unsafe { ptr::write_volatile(cell, value) };
        }
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        if let Some(count) = COUNTERS.get_ptr_mut(counter as u32) {
            // SAFETY: a live entry of this CPU; XDP and TC run to the end on their CPU, one after the other.
            unsafe { *count += 1 };
        }
    }

    #[inline(always)]
    fn count_traffic(&self, backend: u32, bytes: u64, syn: bool, handshake: bool) {
        if let Some(traffic) = TRAFFIC.get_ptr_mut(backend) {
            // SAFETY: as for `count`.
            let traffic = unsafe { &mut *traffic };
            traffic.packets += 1;
            traffic.bytes += bytes;
            traffic.syns += u64::from(syn);
            traffic.handshakes += u64::from(handshake);
        }
    }
}
