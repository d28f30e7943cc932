//! Tables, frames and leaving frames in memory, for the host.

use super::world::World;
use splitter_common::abi::{
    Address, Backend, Counter, Fragment, FragmentKey, Hairpin, HairpinKey, Interface, Reply,
    ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotWord, Stamp, Stamps, Vip, mapped,
};
use splitter_common::datapath::packet::Packet;
use splitter_common::datapath::reply::Egress;
use splitter_common::datapath::tables::{FlowCells, NextHop, SlotTables, StampCells, Tables};
use splitter_common::wire::checksum::Change;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Tables over a [`World`]; what packets write stays in cells and is read back with [`Memory::flows`] and
/// [`Memory::stamps`].
pub struct Memory<'a> {
    world: &'a World,
    now: Cell<u64>,
    flows: Vec<Set>,
    reverse: Vec<Set>,
    hairpins: RefCell<BTreeMap<HairpinKey, &'static Hairpin>>,
    stamps: Vec<Row>,
    handshakes: RefCell<BTreeMap<u32, u64>>,
    fragments: RefCell<BTreeMap<FragmentKey, Fragment>>,
    counted: RefCell<Vec<Counter>>,
    traffic: RefCell<Vec<(u32, u64, bool, bool)>>,
}

impl<'a> Memory<'a> {
    /// Tables in which it is `now`.
    pub fn new(world: &'a World, now: u64) -> Self {
        Self {
            world,
            now: Cell::new(now),
            flows: world
                .flows
                .iter()
                .map(|set| Set(Rc::new(set.words.map(Cell::new))))
                .collect(),
            reverse: world
                .reverse
                .iter()
                .map(|set| Set(Rc::new(set.words.map(Cell::new))))
                .collect(),
            hairpins: RefCell::new(
                world
                    .hairpins
                    .iter()
                    .map(|(key, hairpin)| (*key, kept(hairpin)))
                    .collect(),
            ),
            stamps: world
                .stamps
                .iter()
                .map(|s| Row(Rc::new([s.unlogged, s.bare_syn, s.foreign].map(Cell::new))))
                .collect(),
            handshakes: RefCell::default(),
            fragments: RefCell::new(world.fragments.iter().copied().collect()),
            counted: RefCell::default(),
            traffic: RefCell::default(),
        }
    }

    /// Another time, and the flow table and stamps as somebody else left them.
    pub fn adopt(&self, now: u64, flows: &[[u64; 8]], stamps: &[Stamps]) {
        self.now.set(now);
        for (set, words) in self.flows.iter().zip(flows) {
            for (word, value) in words.iter().enumerate() {
                set.store(word, *value);
            }
        }
        for (row, stamps) in self.stamps.iter().zip(stamps) {
            row.store(Stamp::Unlogged, stamps.unlogged);
            row.store(Stamp::BareSyn, stamps.bare_syn);
            row.store(Stamp::Foreign, stamps.foreign);
        }
    }

    /// Reverse records and calls as somebody else left them.
    pub fn adopt_nat(&self, reverse: &[[u64; 8]], hairpins: &BTreeMap<HairpinKey, Hairpin>) {
        for (set, words) in self.reverse.iter().zip(reverse) {
            for (word, value) in words.iter().enumerate() {
                set.store(word, *value);
            }
        }
        let mut mine = self.hairpins.borrow_mut();
        mine.retain(|key, _| hairpins.contains_key(key));
        for (key, hairpin) in hairpins {
            if mine.get(key).copied() != Some(hairpin) {
                mine.insert(*key, kept(hairpin));
            }
        }
    }

    /// The words of every set of reverse records.
    pub fn reverse(&self) -> Vec<[u64; 8]> {
        let words = |set: &Set| std::array::from_fn(|word| set.load(word));
        self.reverse.iter().map(words).collect()
    }

    /// The calls that come back to their link.
    pub fn hairpins(&self) -> BTreeMap<HairpinKey, Hairpin> {
        let hairpins = self.hairpins.borrow();
        hairpins
            .iter()
            .map(|(key, value)| (*key, **value))
            .collect()
    }

    /// The notes of first fragments as somebody else left them.
    pub fn adopt_fragments(&self, notes: Vec<(FragmentKey, Fragment)>) {
        self.fragments.replace(notes.into_iter().collect());
    }

    /// The words of every flow set.
    pub fn flows(&self) -> Vec<[u64; 8]> {
        let words = |set: &Set| std::array::from_fn(|word| set.load(word));
        self.flows.iter().map(words).collect()
    }

    /// The stamps of every slot.
    pub fn stamps(&self) -> Vec<Stamps> {
        let stamps = |row: &Row| Stamps {
            unlogged: row.load(Stamp::Unlogged),
            bare_syn: row.load(Stamp::BareSyn),
            foreign: row.load(Stamp::Foreign),
            reserved: 0,
        };
        self.stamps.iter().map(stamps).collect()
    }

    /// What is noted of first fragments.
    pub fn fragments(&self) -> Vec<(FragmentKey, Fragment)> {
        let all = self.fragments.borrow();
        all.iter().map(|(key, note)| (*key, *note)).collect()
    }

    /// What was counted since the last call, in order.
    pub fn counted(&self) -> Vec<Counter> {
        self.counted.take()
    }

    /// What was sent to backends since the last call: index, bytes, whether a SYN, whether a completed handshake.
    pub fn traffic(&self) -> Vec<(u32, u64, bool, bool)> {
        self.traffic.take()
    }
}

/// A reference that lives as long as a look-up asks for. It is never given back: a few bytes a frame in a test.
fn kept(hairpin: &Hairpin) -> &'static Hairpin {
    Box::leak(Box::new(*hairpin))
}

/// Stamps of one slot.
#[derive(Clone)]
pub struct Row(Rc<[Cell<u64>; 3]>);

impl StampCells for Row {
    fn load(&self, stamp: Stamp) -> u64 {
        self.0[stamp as usize].get()
    }

    fn store(&self, stamp: Stamp, ns: u64) {
        self.0[stamp as usize].set(ns);
    }
}

/// A flow set.
#[derive(Clone)]
pub struct Set(Rc<[Cell<u64>; 8]>);

impl FlowCells for Set {
    fn load(&self, word: usize) -> u64 {
        self.0[word].get()
    }

    fn store(&self, word: usize, value: u64) {
        self.0[word].set(value);
    }

    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        let found = self.0[word].get();
        if found == old {
            self.0[word].set(new);
        }
        found
    }
}

/// The value of a key in a short list.
fn find<'a, K: PartialEq, V>(entries: &'a [(K, V)], key: &K) -> Option<&'a V> {
    entries
        .iter()
        .find_map(|(known, value)| (known == key).then_some(value))
}

impl SlotTables for Memory<'_> {
    type Stamps = Row;
    type FlowSet = Set;

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.world.settings)
    }

    fn slot(&self, index: u32) -> Option<SlotWord> {
        self.world.slots.get(index as usize).copied()
    }

    fn stamps(&self, index: u32) -> Option<Row> {
        self.stamps.get(index as usize).cloned()
    }

    fn flow_set(&self, index: u32) -> Option<Set> {
        self.flows.get(index as usize).cloned()
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        self.world.backends.get(index as usize)
    }
}

impl Tables for Memory<'_> {
    type Note<'a>
        = Box<Fragment>
    where
        Self: 'a;

    fn vip(&self, address: &Address) -> Option<Vip> {
        find(&self.world.vips, address).copied()
    }

    fn service_index(&self, key: &ServiceKey) -> Option<u32> {
        find(&self.world.keys, key).copied()
    }

    fn service(&self, index: u32) -> Option<&Service> {
        self.world.services.get(index as usize)
    }

    fn row(&self, key: &RouteKey) -> Option<u32> {
        let bits = |key: &RouteKey| {
            let bytes = bytemuck::bytes_of(key)[4..].to_vec();
            let bits = bytes
                .into_iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
            bits.take(key.prefix_length as usize).collect::<Vec<_>>()
        };
        let asked = bits(key);
        let found = self
            .world
            .rows
            .iter()
            .filter(|(prefix, _)| asked.starts_with(&bits(prefix)));
        found
            .max_by_key(|(prefix, _)| prefix.prefix_length)
            .map(|(_, row)| *row)
    }

    fn reply(&self, key: &ReplyKey) -> Option<&Reply> {
        find(&self.world.replies, key)
    }

    fn reverse_set(&self, index: u32) -> Option<Set> {
        self.reverse.get(index as usize).cloned()
    }

    fn is_backend(&self, address: &Address) -> bool {
        self.world.nat.contains(address)
    }

    fn hairpin(&self, key: &HairpinKey) -> Option<&Hairpin> {
        self.hairpins.borrow().get(key).copied()
    }

    fn set_hairpin(&self, key: &HairpinKey, hairpin: &Hairpin, new: bool) -> bool {
        let mut hairpins = self.hairpins.borrow_mut();
        if new && hairpins.contains_key(key) {
            return false;
        }
        hairpins.insert(*key, kept(hairpin));
        true
    }

    fn owns(&self, address: &Address) -> bool {
        self.world.own.contains(address)
    }

    fn interface(&self, index: u32) -> Option<&Interface> {
        find(&self.world.interfaces, &index)
    }

    fn fragment(&self, key: &FragmentKey) -> Option<Box<Fragment>> {
        self.fragments.borrow().get(key).copied().map(Box::new)
    }

    fn set_fragment(&self, key: &FragmentKey, fragment: &Fragment) {
        self.fragments.borrow_mut().insert(*key, *fragment);
    }

    fn handshake(&self, cell: u32) -> u64 {
        self.handshakes.borrow().get(&cell).copied().unwrap_or(0)
    }

    fn set_handshake(&self, cell: u32, value: u64) {
        self.handshakes.borrow_mut().insert(cell, value);
    }

    fn count(&self, counter: Counter) {
        self.counted.borrow_mut().push(counter);
    }

    fn count_traffic(&self, backend: u32, bytes: u64, syn: bool, handshake: bool) {
        self.traffic
            .borrow_mut()
            .push((backend, bytes, syn, handshake));
    }
}

/// A frame, at XDP or on its way out.
pub struct Bytes<'a> {
    world: &'a World,
    interface: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Offset at which a write fails, as in the kernel where memory is short.
    pub refuses: Option<usize>,
}

impl<'a> Bytes<'a> {
    /// A frame that came in on `interface` (or leaves there).
    pub fn new(world: &'a World, interface: u32, bytes: Vec<u8>) -> Self {
        Self {
            world,
            interface,
            bytes,
            refuses: None,
        }
    }

    /// Adds a change to the checksum at `offset`.
    fn amend(&mut self, offset: usize, udp: bool, change: Change) -> Option<()> {
        let old = u16::from_be_bytes(self.read(offset)?);
        let new = if udp {
            change.apply_udp(old)
        } else {
            change.apply(old)
        };
        self.write(offset, new.to_be_bytes())
    }
}

impl Packet for Bytes<'_> {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..offset + N)?.try_into().ok()
    }

    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        if self.refuses == Some(offset) {
            return None;
        }
        self.bytes
            .get_mut(offset..offset + N)?
            .copy_from_slice(&bytes);
        Some(())
    }

    fn grow_front(&mut self, bytes: i32) -> Option<()> {
        if bytes >= 0 {
            // What the kernel leaves there is whatever was there: never zeros to rely on.
            let room = std::iter::repeat_n(0xa5, bytes as usize);
            self.bytes.splice(..0, room);
        } else {
            let fewer = bytes.unsigned_abs() as usize;
            // The kernel keeps an Ethernet header's worth.
            if fewer + 14 > self.bytes.len() {
                return None;
            }
            self.bytes.drain(..fewer);
        }
        Some(())
    }

    fn set_len(&mut self, len: usize) -> Option<()> {
        if len < 14 {
            return None;
        }
        self.bytes.resize(len, 0);
        Some(())
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn route(&self, _: &Address, destination: &Address, _: u8, _: u16) -> Option<NextHop> {
        find(&self.world.routes, destination).copied()
    }
}

impl Egress for Bytes<'_> {
    fn replace_v4(
        &mut self,
        offset: usize,
        l3_checksum: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): ([u8; 4], [u8; 4]),
    ) -> Option<()> {
        let change = Change::none().v4(&mapped(old), &mapped(new));
        if l4_checksum != 0 {
            self.amend(l4_checksum, udp, change)?;
        }
        self.amend(l3_checksum, false, change)?;
        self.write(offset, new)
    }

    fn replace_v6(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): (&Address, &Address),
    ) -> Option<()> {
        if l4_checksum != 0 {
            self.amend(l4_checksum, udp, Change::none().v6(old, new))?;
        }
        self.write(offset, *new)
    }

    fn replace_port(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): (u16, u16),
    ) -> Option<()> {
        self.amend(l4_checksum, udp, Change::none().word(old, new))?;
        self.write(offset, new.to_be_bytes())
    }
}
