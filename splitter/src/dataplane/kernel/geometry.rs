//! The geometry that the maps must have: aya takes a pinned map as it is, whatever its sizes.

use std::mem::size_of;

use aya::maps::MapData;
use splitter_common::abi::{
    Address, Backend, Counter, ENTRIES_PER_SET, FlowSet, Fragment, FragmentKey, Hairpin,
    HairpinKey, Interface, Reply, ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotWord,
    Stamps, Traffic, Vip, maps,
};

use crate::dataplane::error::DataplaneError;
use crate::dataplane::pins::Pins;
use crate::dataplane::{
    FRAGMENTS, HAIRPIN_ENTRIES, HANDSHAKE_CELLS, MAX_BACKENDS, MAX_PORTS, MAX_ROUTES, MAX_SERVICES,
};

/// Sizes that the configuration chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Slots of all services together.
    pub slots: u32,
    /// Flow records; a power of two, at least one set's.
    pub flow_records: u32,
    /// Reverse records; a power of two, at least one set's.
    pub reverse_records: u32,
}

impl Sizes {
    /// Sets of the flow table.
    pub const fn flow_sets(self) -> u32 {
        self.flow_records / ENTRIES_PER_SET as u32
    }

    /// Sets of the table of reverse records.
    pub const fn reverse_sets(self) -> u32 {
        self.reverse_records / ENTRIES_PER_SET as u32
    }
}

/// A map as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) name: &'static str,
    key: usize,
    value: usize,
    pub(super) entries: u32,
    setting: &'static str,
}

/// All maps.
pub(super) fn all(sizes: Sizes) -> Vec<Geometry> {
    const FIXED: &str = "fixed in this build of splitter";
    const INDEX: usize = size_of::<u32>();
    let map = |name, key, value, entries, setting| Geometry {
        name,
        key,
        value,
        entries,
        setting,
    };
    let slots = "daemon.max_slots";
    let records = "daemon.flow_records";
    vec![
        map(maps::SETTINGS, INDEX, size_of::<Settings>(), 1, FIXED),
        map(
            maps::VIPS,
            size_of::<Address>(),
            size_of::<Vip>(),
            MAX_SERVICES,
            FIXED,
        ),
        map(
            maps::SERVICE_KEYS,
            size_of::<ServiceKey>(),
            INDEX,
            MAX_PORTS,
            FIXED,
        ),
        map(
            maps::SERVICES,
            INDEX,
            size_of::<Service>(),
            MAX_SERVICES,
            FIXED,
        ),
        map(
            maps::SLOTS,
            INDEX,
            size_of::<SlotWord>(),
            sizes.slots,
            slots,
        ),
        map(maps::STAMPS, INDEX, size_of::<Stamps>(), sizes.slots, slots),
        map(
            maps::BACKENDS,
            INDEX,
            size_of::<Backend>(),
            MAX_BACKENDS,
            FIXED,
        ),
        map(
            maps::FLOWS,
            INDEX,
            size_of::<FlowSet>(),
            sizes.flow_sets(),
            records,
        ),
        map(
            maps::ROUTES,
            size_of::<RouteKey>(),
            INDEX,
            MAX_ROUTES,
            FIXED,
        ),
        map(
            maps::REPLIES,
            size_of::<ReplyKey>(),
            size_of::<Reply>(),
            MAX_PORTS,
            FIXED,
        ),
        map(
            maps::REVERSE,
            INDEX,
            size_of::<FlowSet>(),
            sizes.reverse_sets(),
            "daemon.reverse_records",
        ),
        map(
            maps::NAT_ADDRESSES,
            size_of::<Address>(),
            size_of::<u32>(),
            MAX_BACKENDS,
            FIXED,
        ),
        map(
            maps::HAIRPINS,
            size_of::<HairpinKey>(),
            size_of::<Hairpin>(),
            HAIRPIN_ENTRIES,
            FIXED,
        ),
        map(
            maps::FRAGMENTS,
            size_of::<FragmentKey>(),
            size_of::<Fragment>(),
            FRAGMENTS,
            FIXED,
        ),
        map(
            maps::OWN_ADDRESSES,
            size_of::<Address>(),
            size_of::<u32>(),
            4096,
            FIXED,
        ),
        map(
            maps::INTERFACES,
            size_of::<u32>(),
            size_of::<Interface>(),
            256,
            FIXED,
        ),
        map(
            maps::COUNTERS,
            INDEX,
            size_of::<u64>(),
            Counter::ALL.len() as u32,
            FIXED,
        ),
        map(
            maps::TRAFFIC,
            INDEX,
            size_of::<Traffic>(),
            MAX_BACKENDS,
            FIXED,
        ),
        map(
            maps::HANDSHAKES,
            INDEX,
            size_of::<u64>(),
            HANDSHAKE_CELLS,
            FIXED,
        ),
    ]
}

impl Geometry {
    /// Compares with what is pinned; nothing there yet is well.
    pub(super) fn check(&self, pins: &Pins) -> Result<(), DataplaneError> {
        if !pins.map(self.name).exists() {
            return Ok(());
        }
        let map = MapData::from_pin(pins.map(self.name))
            .map_err(|e| DataplaneError::map("open", self.name, &e))?;
        let info = map
            .info()
            .map_err(|e| DataplaneError::map("read", self.name, &e))?;
        let found = Self {
            key: info.key_size() as usize,
            value: info.value_size() as usize,
            entries: info.max_entries(),
            ..*self
        };
        if found == *self {
            return Ok(());
        }
        Err(DataplaneError::Geometry {
            map: self.name,
            folder: pins.maps(),
            found: found.to_string(),
            expected: self.to_string(),
            setting: self.setting,
        })
    }
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            value,
            entries,
            ..
        } = self;
        write!(f, "{entries} entries of {key} + {value} bytes")
    }
}
