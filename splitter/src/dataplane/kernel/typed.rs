//! Maps with the types of the ABI: aya's own need a marker trait that our plain old data cannot get from here.

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use bytemuck::Pod;
use splitter_common::abi::RouteKey;

use crate::dataplane::error::DataplaneError;
use crate::dataplane::pins::Pins;

/// A value of the ABI as aya takes it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Plain<T>(T);

// SAFETY: `bytemuck::Pod` demands all that aya's marker does: no padding, no pointers, every bit pattern valid.
unsafe impl<T: Pod> aya::Pod for Plain<T> {}

/// Opens a pinned map.
pub(super) fn open(pins: &Pins, name: &'static str) -> Result<MapData, DataplaneError> {
    MapData::from_pin(pins.map(name)).map_err(|e| DataplaneError::map("open", name, &e))
}

fn typed<M: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
) -> Result<M, DataplaneError> {
    let map =
        Map::from_map_data(open(pins, name)?).map_err(|e| DataplaneError::map("open", name, &e))?;
    M::try_from(map).map_err(|e| DataplaneError::map("open", name, &e))
}

/// A hash map.
pub(super) struct Dictionary<K: Pod, V: Pod> {
    name: &'static str,
    map: HashMap<MapData, Plain<K>, Plain<V>>,
}

impl<K: Pod, V: Pod> Dictionary<K, V> {
    pub(super) fn open(pins: &Pins, name: &'static str) -> Result<Self, DataplaneError> {
        Ok(Self {
            name,
            map: typed(pins, name)?,
        })
    }

    pub(super) fn all(&self) -> Result<Vec<(K, V)>, DataplaneError> {
        self.map
            .iter()
            .map(|entry| entry.map(|(Plain(key), Plain(value))| (key, value)))
            .collect::<Result<_, _>>()
            .map_err(|e| DataplaneError::map("read", self.name, &e))
    }

    /// Writes an entry, or removes it; one that is not there is removed already.
    pub(super) fn set(&mut self, key: &K, value: Option<V>) -> Result<(), DataplaneError> {
        let done = match value {
            Some(value) => self.map.insert(Plain(*key), Plain(value), 0),
            None => match self.map.get(&Plain(*key), 0) {
                Ok(_) => self.map.remove(&Plain(*key)),
                Err(MapError::KeyNotFound) => Ok(()),
                Err(e) => Err(e),
            },
        };
        done.map_err(|e| DataplaneError::map("write", self.name, &e))
    }
}

/// The trie of routes.
pub(super) struct Trie {
    name: &'static str,
    map: LpmTrie<MapData, [u8; 20], u32>,
}

impl Trie {
    pub(super) fn open(pins: &Pins, name: &'static str) -> Result<Self, DataplaneError> {
        Ok(Self {
            name,
            map: typed(pins, name)?,
        })
    }

    pub(super) fn all(&self) -> Result<Vec<(RouteKey, u32)>, DataplaneError> {
        self.map
            .iter()
            .map(|entry| {
                entry.map(|(key, row)| {
                    let data = key.data();
                    let mut bytes = [0; size_of::<RouteKey>()];
                    bytes[..4].copy_from_slice(&key.prefix_len().to_ne_bytes());
                    bytes[4..].copy_from_slice(&data);
                    (bytemuck::cast(bytes), row)
                })
            })
            .collect::<Result<_, _>>()
            .map_err(|e| DataplaneError::map("read", self.name, &e))
    }

    /// Writes an entry, in place where there is one, or removes it; one that is not there is removed already.
    pub(super) fn set(&mut self, key: &RouteKey, row: Option<u32>) -> Result<(), DataplaneError> {
        let bytes: [u8; size_of::<RouteKey>()] = bytemuck::cast(*key);
        let [_, _, _, _, data @ ..] = bytes;
        let key = Key::new(key.prefix_length, data);
        let done = match row {
            Some(row) => self.map.insert(&key, row, 0),
            None => match self.map.remove(&key) {
                Err(MapError::SyscallError(e))
                    if e.io_error.kind() == std::io::ErrorKind::NotFound =>
                {
                    Ok(())
                }
                done => done,
            },
        };
        done.map_err(|e| DataplaneError::map("write", self.name, &e))
    }
}

/// An array.
pub(super) struct Table<V: Pod> {
    name: &'static str,
    map: Array<MapData, Plain<V>>,
}

impl<V: Pod> Table<V> {
    pub(super) fn open(pins: &Pins, name: &'static str) -> Result<Self, DataplaneError> {
        Ok(Self {
            name,
            map: typed(pins, name)?,
        })
    }

    pub(super) fn get(&self, index: u32) -> Result<V, DataplaneError> {
        self.map
            .get(&index, 0)
            .map(|Plain(value)| value)
            .map_err(|e| DataplaneError::map("read", self.name, &e))
    }

    pub(super) fn set(&mut self, index: u32, value: V) -> Result<(), DataplaneError> {
        self.map
            .set(index, Plain(value), 0)
            .map_err(|e| DataplaneError::map("write", self.name, &e))
    }
}

/// An array with a value for every CPU.
pub(super) struct PerCpu<V: Pod> {
    name: &'static str,
    map: PerCpuArray<MapData, Plain<V>>,
}

impl<V: Pod> PerCpu<V> {
    pub(super) fn open(pins: &Pins, name: &'static str) -> Result<Self, DataplaneError> {
        Ok(Self {
            name,
            map: typed(pins, name)?,
        })
    }

    pub(super) fn get(&self, index: u32) -> Result<Vec<V>, DataplaneError> {
        self.map
            .get(&index, 0)
            .map(|values| values.iter().map(|Plain(value)| *value).collect())
            .map_err(|e| DataplaneError::map("read", self.name, &e))
    }

    pub(super) fn clear(&mut self, index: u32) -> Result<(), DataplaneError> {
        let write = |e: &dyn std::error::Error| DataplaneError::map("write", self.name, e);
        let cpus = self.map.get(&index, 0).map_err(|e| write(&e))?.len();
        let zeroes =
            PerCpuValues::try_from(vec![Plain(V::zeroed()); cpus]).map_err(|e| write(&e))?;
        self.map.set(index, zeroes, 0).map_err(|e| write(&e))
    }
}
