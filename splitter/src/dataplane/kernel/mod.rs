//! The kernel's maps, pinned, and the programs on their interfaces.

mod geometry;
mod links;
mod mapped;
mod typed;

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::{Ebpf, EbpfLoader};
use splitter_common::abi::{
    Address, Backend, Counter, FlowSet, Interface, Reply, ReplyKey, RouteKey, Service, ServiceKey,
    Settings, SlotWord, Stamp, Stamps, Traffic, Vip, maps,
};

use splitter_common::datapath::tables::FlowCells;

use super::error::{DataplaneError, chain};
use super::lock::FolderLock;
use super::pins::{Hook, Pins, ensure_bpffs};
use super::{Dataplane, backend_words};
use crate::model::XdpMode;
use mapped::Mapped;
use typed::{Dictionary, PerCpu, Table, Trie};

pub use geometry::Sizes;
pub use links::{Attached, Found};

/// The kernel's maps. Holds the folder's lock: there is one at a time.
pub struct Kernel {
    pins: Pins,
    ebpf: Ebpf,
    settings: Table<Settings>,
    services: Table<Service>,
    service_keys: Dictionary<ServiceKey, u32>,
    vips: Dictionary<Address, Vip>,
    routes: Trie,
    replies: Dictionary<ReplyKey, Reply>,
    nat_addresses: Dictionary<Address, u32>,
    own_addresses: Dictionary<Address, u32>,
    interfaces: Dictionary<u32, Interface>,
    counters: PerCpu<u64>,
    traffic: PerCpu<Traffic>,
    slots: Mapped,
    stamps: Mapped,
    backends: Mapped,
    flows: Mapped,
    reverse: Mapped,
    // Last, so that it is let go when all else is.
    _lock: FolderLock,
}

impl Kernel {
    /// Takes the folder, makes the maps or opens those that are pinned there, and loads the programs. Nothing is
    /// attached yet: see [`attach`](Self::attach).
    pub fn open(bpffs: &Path, sizes: Sizes, object: &[u8]) -> Result<Self, DataplaneError> {
        ensure_bpffs(bpffs)?;
        let lock = FolderLock::take(bpffs)?;
        membarrier()?;
        let pins = Pins::new(bpffs);
        let geometries = geometry::all(sizes);
        for geometry in &geometries {
            geometry.check(&pins)?;
        }
        pins.create()?;
        let mut loader = EbpfLoader::new();
        for geometry in &geometries {
            loader.map_max_entries(geometry.name, geometry.entries);
            loader.map_pin_path(geometry.name, pins.map(geometry.name));
        }
        let mut ebpf = loader
            .load(object)
            .map_err(|e| DataplaneError::Load(chain(&e)))?;
        // Once more: these are the object's own sizes now, where a map was made just before.
        for geometry in &geometries {
            geometry.check(&pins)?;
        }
        links::load(&mut ebpf)?;
        Ok(Self {
            settings: Table::open(&pins, maps::SETTINGS)?,
            services: Table::open(&pins, maps::SERVICES)?,
            service_keys: Dictionary::open(&pins, maps::SERVICE_KEYS)?,
            vips: Dictionary::open(&pins, maps::VIPS)?,
            routes: Trie::open(&pins, maps::ROUTES)?,
            replies: Dictionary::open(&pins, maps::REPLIES)?,
            nat_addresses: Dictionary::open(&pins, maps::NAT_ADDRESSES)?,
            own_addresses: Dictionary::open(&pins, maps::OWN_ADDRESSES)?,
            interfaces: Dictionary::open(&pins, maps::INTERFACES)?,
            counters: PerCpu::open(&pins, maps::COUNTERS)?,
            traffic: PerCpu::open(&pins, maps::TRAFFIC)?,
            slots: map_memory::<SlotWord>(&pins, maps::SLOTS)?,
            stamps: map_memory::<Stamps>(&pins, maps::STAMPS)?,
            backends: map_memory::<Backend>(&pins, maps::BACKENDS)?,
            flows: map_memory::<FlowSet>(&pins, maps::FLOWS)?,
            reverse: map_memory::<FlowSet>(&pins, maps::REVERSE)?,
            pins,
            ebpf,
            _lock: lock,
        })
    }

    /// Refuses an interface on which [`attach`](Self::attach) would not put the programs for what it carries already:
    /// someone else's program, or this one in another mode. Changes nothing.
    pub fn check(&self, found: &Found, mode: XdpMode) -> Result<(), DataplaneError> {
        links::check_xdp(&self.pins, found, mode)
    }

    /// Puts the programs on an interface: a pinned link gets them in place, without a packet lost.
    pub fn attach(&mut self, found: &Found, mode: XdpMode) -> Result<Attached, DataplaneError> {
        let attached = links::attach_xdp(&mut self.ebpf, &self.pins, found, mode)?;
        links::attach_tc(&mut self.ebpf, &self.pins, &found.name)?;
        Ok(attached)
    }

    /// Names of interfaces for which a link is pinned.
    pub fn pinned_interfaces(&self) -> Result<Vec<String>, DataplaneError> {
        let links = self.pins.pinned_links(Hook::Xdp)?;
        Ok(links.into_iter().map(|(_, name)| name).collect())
    }
}

fn map_memory<T>(pins: &Pins, name: &'static str) -> Result<Mapped, DataplaneError> {
    let map = typed::open(pins, name)?;
    let entries = map
        .info()
        .map_err(|e| DataplaneError::map("read", name, &e))?
        .max_entries();
    Mapped::new(map.fd().as_fd(), entries, size_of::<T>())
        .map_err(|e| DataplaneError::map("memory-map", name, &e))
}

/// Waits until every program run that began before has ended: XDP and TC programs run in RCU read sections, and the
/// kernel answers this command after a grace period of RCU.
fn membarrier() -> Result<(), DataplaneError> {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: the system call takes three integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(DataplaneError::Grace(io::Error::last_os_error()))
    }
}

fn read<const WORDS: usize>(map: &Mapped, entry: u32) -> [u64; WORDS] {
    std::array::from_fn(|word| map.load(entry, word))
}

impl Dataplane for Kernel {
    fn settings(&self) -> Result<Settings, DataplaneError> {
        self.settings.get(0)
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), DataplaneError> {
        self.settings.set(0, *settings)
    }

    fn service(&self, index: u32) -> Result<Service, DataplaneError> {
        self.services.get(index)
    }

    fn set_service(&mut self, index: u32, service: &Service) -> Result<(), DataplaneError> {
        self.services.set(index, *service)
    }

    fn service_keys(&self) -> Result<Vec<(ServiceKey, u32)>, DataplaneError> {
        self.service_keys.all()
    }

    fn set_service_key(
        &mut self,
        key: &ServiceKey,
        index: Option<u32>,
    ) -> Result<(), DataplaneError> {
        self.service_keys.set(key, index)
    }

    fn vips(&self) -> Result<Vec<(Address, Vip)>, DataplaneError> {
        self.vips.all()
    }

    fn set_vip(&mut self, address: &Address, vip: Option<Vip>) -> Result<(), DataplaneError> {
        self.vips.set(address, vip)
    }

    fn routes(&self) -> Result<Vec<(RouteKey, u32)>, DataplaneError> {
        self.routes.all()
    }

    fn set_route(&mut self, key: &RouteKey, row: Option<u32>) -> Result<(), DataplaneError> {
        self.routes.set(key, row)
    }

    fn replies(&self) -> Result<Vec<(ReplyKey, Reply)>, DataplaneError> {
        self.replies.all()
    }

    fn set_reply(&mut self, key: &ReplyKey, reply: Option<Reply>) -> Result<(), DataplaneError> {
        self.replies.set(key, reply)
    }

    fn nat_addresses(&self) -> Result<Vec<Address>, DataplaneError> {
        let all = self.nat_addresses.all()?;
        Ok(all.into_iter().map(|(address, _)| address).collect())
    }

    fn set_nat_address(&mut self, address: &Address, there: bool) -> Result<(), DataplaneError> {
        self.nat_addresses.set(address, there.then_some(1))
    }

    fn own_addresses(&self) -> Result<Vec<Address>, DataplaneError> {
        Ok(self
            .own_addresses
            .all()?
            .into_iter()
            .map(|(a, _)| a)
            .collect())
    }

    fn set_own_address(&mut self, address: &Address, own: bool) -> Result<(), DataplaneError> {
        self.own_addresses.set(address, own.then_some(1))
    }

    fn interfaces(&self) -> Result<Vec<(u32, Interface)>, DataplaneError> {
        self.interfaces.all()
    }

    fn set_interface(
        &mut self,
        index: u32,
        interface: Option<Interface>,
    ) -> Result<(), DataplaneError> {
        self.interfaces.set(&index, interface)
    }

    fn backend(&self, index: u32) -> Result<Backend, DataplaneError> {
        Ok(bytemuck::cast(read::<8>(&self.backends, index)))
    }

    fn set_backend(&mut self, index: u32, backend: &Backend) -> Result<(), DataplaneError> {
        for (word, value) in backend_words(&self.backend(index)?, backend) {
            self.backends.store(index, word, value);
        }
        Ok(())
    }

    fn slot_room(&self) -> u32 {
        self.slots.entries()
    }

    fn slot(&self, index: u32) -> Result<SlotWord, DataplaneError> {
        Ok(SlotWord(self.slots.load(index, 0)))
    }

    fn set_slot(&mut self, index: u32, word: SlotWord) -> Result<(), DataplaneError> {
        self.slots.store(index, 0, word.0);
        Ok(())
    }

    fn stamps(&self, index: u32) -> Result<Stamps, DataplaneError> {
        Ok(bytemuck::cast(read::<4>(&self.stamps, index)))
    }

    fn set_stamp(&mut self, index: u32, stamp: Stamp, ns: u64) -> Result<(), DataplaneError> {
        self.stamps.store(index, stamp as usize, ns);
        Ok(())
    }

    fn flow_sets(&self) -> u32 {
        self.flows.entries()
    }

    fn flow_set(&self, index: u32) -> Result<FlowSet, DataplaneError> {
        Ok(bytemuck::cast(read::<8>(&self.flows, index)))
    }

    fn flow_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError> {
        Ok(mapped::Entry::new(&self.flows, index))
    }

    fn reverse_sets(&self) -> u32 {
        self.reverse.entries()
    }

    fn reverse_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError> {
        Ok(mapped::Entry::new(&self.reverse, index))
    }

    fn counters(&self) -> Result<Vec<u64>, DataplaneError> {
        (0..Counter::ALL.len() as u32)
            .map(|index| Ok(self.counters.get(index)?.iter().sum()))
            .collect()
    }

    fn traffic(&self, backend: u32) -> Result<Traffic, DataplaneError> {
        let cpus = self.traffic.get(backend)?;
        Ok(cpus.iter().fold(Traffic::default(), |sum, cpu| Traffic {
            packets: sum.packets + cpu.packets,
            bytes: sum.bytes + cpu.bytes,
            syns: sum.syns + cpu.syns,
            handshakes: sum.handshakes + cpu.handshakes,
        }))
    }

    fn clear_traffic(&mut self, backend: u32) -> Result<(), DataplaneError> {
        self.traffic.clear(backend)
    }

    fn grace(&mut self) -> Result<(), DataplaneError> {
        membarrier()
    }
}
