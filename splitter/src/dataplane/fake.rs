//! The maps in memory, for tests of the daemon: shared between "processes", with a budget of writes after which the
//! writer is dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use splitter_common::abi::{
    Address, Backend, Counter, FlowSet, Interface, Reply, ReplyKey, RouteKey, Service, ServiceKey,
    Settings, SlotWord, Stamp, Stamps, Traffic, Vip,
};

use splitter_common::datapath::tables::FlowCells;

use super::{Dataplane, DataplaneError, MAX_BACKENDS, MAX_SERVICES, backend_words};

/// What outlives a daemon.
#[derive(Debug, Default)]
pub struct Memory {
    /// See [`Dataplane::settings`].
    pub settings: Settings,
    /// See [`Dataplane::service`].
    pub services: BTreeMap<u32, Service>,
    /// See [`Dataplane::service_keys`].
    pub keys: BTreeMap<ServiceKey, u32>,
    /// See [`Dataplane::vips`].
    pub vips: BTreeMap<Address, Vip>,
    /// See [`Dataplane::routes`].
    pub routes: BTreeMap<RouteKey, u32>,
    /// See [`Dataplane::replies`].
    pub replies: BTreeMap<Vec<u8>, (ReplyKey, Reply)>,
    /// See [`Dataplane::nat_addresses`].
    pub nat: BTreeMap<Address, ()>,
    /// See [`Dataplane::own_addresses`].
    pub own: BTreeMap<Address, ()>,
    /// See [`Dataplane::interfaces`].
    pub interfaces: BTreeMap<u32, Interface>,
    /// See [`Dataplane::backend`].
    pub backends: BTreeMap<u32, Backend>,
    /// See [`Dataplane::slot`].
    pub slots: Vec<SlotWord>,
    /// See [`Dataplane::stamps`].
    pub stamps: Vec<Stamps>,
    /// See [`Dataplane::flow_set`].
    pub flows: Vec<FlowSet>,
    /// See [`Dataplane::reverse_cells`].
    pub reverse: Vec<FlowSet>,
    /// See [`Dataplane::traffic`].
    pub traffic: BTreeMap<u32, Traffic>,
    /// Writes done so far.
    pub writes: u64,
    /// Writes after which the writer is dead.
    pub budget: Option<u64>,
    /// Slots written since the last grace period: none may be written twice.
    pub written: Vec<u32>,
}

/// A handle on [`Memory`]; clones share it, as processes share pinned maps.
#[derive(Clone, Debug)]
pub struct Fake(Arc<Mutex<Memory>>);

impl Fake {
    /// Empty maps.
    pub fn new(slots: usize, flow_sets: usize) -> Self {
        Self(Arc::new(Mutex::new(Memory {
            slots: vec![SlotWord::default(); slots],
            stamps: vec![Stamps::default(); slots],
            flows: vec![FlowSet::default(); flow_sets],
            reverse: vec![FlowSet::default(); flow_sets],
            ..Memory::default()
        })))
    }

    /// The memory itself, for tests to look into.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().expect("no test panics while it writes")
    }

    /// Lets the writer die after `writes` more writes.
    pub fn die_after(&self, writes: u64) {
        let mut memory = self.memory();
        memory.budget = Some(memory.writes + writes);
    }

    /// A new process: nothing in flight, writes without end.
    pub fn revive(&self) {
        let mut memory = self.memory();
        memory.budget = None;
        memory.written.clear();
    }

    fn write(&self) -> Result<MutexGuard<'_, Memory>, DataplaneError> {
        let mut memory = self.memory();
        if memory.budget.is_some_and(|budget| memory.writes >= budget) {
            return Err(DataplaneError::Load("killed".to_owned()));
        }
        memory.writes += 1;
        Ok(memory)
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

/// A set of one of the tables.
struct FakeSet<'a>(&'a Fake, usize, fn(&mut Memory) -> &mut Vec<FlowSet>);

const fn flows(memory: &mut Memory) -> &mut Vec<FlowSet> {
    &mut memory.flows
}

const fn reverse(memory: &mut Memory) -> &mut Vec<FlowSet> {
    &mut memory.reverse
}

impl FlowCells for FakeSet<'_> {
    fn load(&self, word: usize) -> u64 {
        (self.2)(&mut self.0.memory())[self.1].words[word]
    }

    fn store(&self, word: usize, value: u64) {
        (self.2)(&mut self.0.memory())[self.1].words[word] = value;
    }

    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> u64 {
        let mut memory = self.0.memory();
        let cell = &mut (self.2)(&mut memory)[self.1].words[word];
        let found = *cell;
        if found == old {
            *cell = new;
        }
        found
    }
}

impl Dataplane for Fake {
    fn settings(&self) -> Result<Settings, DataplaneError> {
        Ok(self.memory().settings)
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), DataplaneError> {
        self.write()?.settings = *settings;
        Ok(())
    }

    fn service(&self, index: u32) -> Result<Service, DataplaneError> {
        assert!(index < MAX_SERVICES);
        Ok(self
            .memory()
            .services
            .get(&index)
            .copied()
            .unwrap_or_default())
    }

    fn set_service(&mut self, index: u32, service: &Service) -> Result<(), DataplaneError> {
        assert!(index < MAX_SERVICES);
        self.write()?.services.insert(index, *service);
        Ok(())
    }

    fn service_keys(&self) -> Result<Vec<(ServiceKey, u32)>, DataplaneError> {
        Ok(self.memory().keys.iter().map(|(k, v)| (*k, *v)).collect())
    }

    fn set_service_key(
        &mut self,
        key: &ServiceKey,
        index: Option<u32>,
    ) -> Result<(), DataplaneError> {
        put(&mut self.write()?.keys, *key, index);
        Ok(())
    }

    fn vips(&self) -> Result<Vec<(Address, Vip)>, DataplaneError> {
        Ok(self.memory().vips.iter().map(|(k, v)| (*k, *v)).collect())
    }

    fn set_vip(&mut self, address: &Address, vip: Option<Vip>) -> Result<(), DataplaneError> {
        put(&mut self.write()?.vips, *address, vip);
        Ok(())
    }

    fn routes(&self) -> Result<Vec<(RouteKey, u32)>, DataplaneError> {
        Ok(self.memory().routes.iter().map(|(k, v)| (*k, *v)).collect())
    }

    fn set_route(&mut self, key: &RouteKey, row: Option<u32>) -> Result<(), DataplaneError> {
        put(&mut self.write()?.routes, *key, row);
        Ok(())
    }

    fn replies(&self) -> Result<Vec<(ReplyKey, Reply)>, DataplaneError> {
        Ok(self.memory().replies.values().copied().collect())
    }

    fn set_reply(&mut self, key: &ReplyKey, reply: Option<Reply>) -> Result<(), DataplaneError> {
        let bytes = bytemuck::bytes_of(key).to_vec();
        put(
            &mut self.write()?.replies,
            bytes,
            reply.map(|reply| (*key, reply)),
        );
        Ok(())
    }

    fn nat_addresses(&self) -> Result<Vec<Address>, DataplaneError> {
        Ok(self.memory().nat.keys().copied().collect())
    }

    fn set_nat_address(&mut self, address: &Address, there: bool) -> Result<(), DataplaneError> {
        put(&mut self.write()?.nat, *address, there.then_some(()));
        Ok(())
    }

    fn own_addresses(&self) -> Result<Vec<Address>, DataplaneError> {
        Ok(self.memory().own.keys().copied().collect())
    }

    fn set_own_address(&mut self, address: &Address, own: bool) -> Result<(), DataplaneError> {
        put(&mut self.write()?.own, *address, own.then_some(()));
        Ok(())
    }

    fn interfaces(&self) -> Result<Vec<(u32, Interface)>, DataplaneError> {
        let memory = self.memory();
        Ok(memory.interfaces.iter().map(|(k, v)| (*k, *v)).collect())
    }

    fn set_interface(
        &mut self,
        index: u32,
        interface: Option<Interface>,
    ) -> Result<(), DataplaneError> {
        put(&mut self.write()?.interfaces, index, interface);
        Ok(())
    }

    fn backend(&self, index: u32) -> Result<Backend, DataplaneError> {
        assert!(index < MAX_BACKENDS);
        Ok(self
            .memory()
            .backends
            .get(&index)
            .copied()
            .unwrap_or_default())
    }

    fn set_backend(&mut self, index: u32, backend: &Backend) -> Result<(), DataplaneError> {
        let mut words: [u64; 8] = bytemuck::cast(self.backend(index)?);
        for (place, word) in backend_words(&bytemuck::cast(words), backend) {
            words[place] = word;
            self.write()?.backends.insert(index, bytemuck::cast(words));
        }
        Ok(())
    }

    fn slot_room(&self) -> u32 {
        self.memory().slots.len() as u32
    }

    fn slot(&self, index: u32) -> Result<SlotWord, DataplaneError> {
        Ok(self.memory().slots[index as usize])
    }

    fn set_slot(&mut self, index: u32, word: SlotWord) -> Result<(), DataplaneError> {
        let mut memory = self.write()?;
        assert!(
            !memory.written.contains(&index),
            "slot {index} written twice in a grace period"
        );
        memory.written.push(index);
        memory.slots[index as usize] = word;
        Ok(())
    }

    fn stamps(&self, index: u32) -> Result<Stamps, DataplaneError> {
        Ok(self.memory().stamps[index as usize])
    }

    fn set_stamp(&mut self, index: u32, stamp: Stamp, ns: u64) -> Result<(), DataplaneError> {
        let mut memory = self.write()?;
        let stamps = &mut memory.stamps[index as usize];
        match stamp {
            Stamp::Unlogged => stamps.unlogged = ns,
            Stamp::BareSyn => stamps.bare_syn = ns,
            Stamp::Foreign => stamps.foreign = ns,
        }
        Ok(())
    }

    fn flow_sets(&self) -> u32 {
        self.memory().flows.len() as u32
    }

    fn flow_set(&self, index: u32) -> Result<FlowSet, DataplaneError> {
        Ok(self.memory().flows[index as usize])
    }

    fn flow_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError> {
        Ok(FakeSet(self, index as usize, flows))
    }

    fn reverse_sets(&self) -> u32 {
        self.memory().reverse.len() as u32
    }

    fn reverse_cells(&self, index: u32) -> Result<impl FlowCells + '_, DataplaneError> {
        Ok(FakeSet(self, index as usize, reverse))
    }

    fn counters(&self) -> Result<Vec<u64>, DataplaneError> {
        Ok(vec![0; Counter::ALL.len()])
    }

    fn traffic(&self, backend: u32) -> Result<Traffic, DataplaneError> {
        Ok(self
            .memory()
            .traffic
            .get(&backend)
            .copied()
            .unwrap_or_default())
    }

    fn clear_traffic(&mut self, backend: u32) -> Result<(), DataplaneError> {
        self.write()?.traffic.remove(&backend);
        Ok(())
    }

    fn grace(&mut self) -> Result<(), DataplaneError> {
        self.memory().written.clear();
        Ok(())
    }
}
