//! Services as the maps have them, and which of them is which of the configuration: a service keeps its flows while its
//! ports come and go.

use std::collections::{BTreeMap, BTreeSet};

use splitter_common::abi::{Service as Row, ServiceKey};

use super::error::StartError;
use super::identity::{key_name, key_of_row, keys_of};
use crate::dataplane::{Dataplane, DataplaneError, MAX_SERVICES};
use crate::model::Service;

/// The services in the maps that nobody claimed yet.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// By index in `SERVICES`.
    pub(super) rows: BTreeMap<u32, Row>,
    keys: BTreeMap<ServiceKey, u32>,
    claimed: BTreeMap<u32, String>,
}

impl Pinned {
    /// All of them.
    pub(super) fn read<D: Dataplane>(dataplane: &D) -> Result<Self, DataplaneError> {
        let mut rows = BTreeMap::new();
        for index in 0..MAX_SERVICES {
            let row = dataplane.service(index)?;
            if row.in_use != 0 {
                rows.insert(index, row);
            }
        }
        let mut keys: BTreeMap<_, _> = dataplane.service_keys()?.into_iter().collect();
        keys.retain(|_, index| rows.contains_key(index));
        Ok(Self {
            rows,
            keys,
            claimed: BTreeMap::new(),
        })
    }

    /// Takes what is in force of a service: the one that its packets go to, else one that had left the configuration.
    /// Refuses a port that would take flows of one service to another.
    pub(super) fn claim(&mut self, service: &Service) -> Result<Option<(u32, Row)>, StartError> {
        let keys: BTreeSet<ServiceKey> = keys_of(service).collect();
        let mut in_force = None;
        for key in &keys {
            let Some(index) = self.keys.get(key) else {
                continue;
            };
            let same = in_force.is_none_or(|other| other == *index);
            let its_own = |row: &Row| keys.contains(&key_of_row(row));
            if !same || !self.rows.get(index).is_some_and(its_own) {
                return Err(StartError::Refused(self.moved(service, key, *index)));
            }
            in_force = Some(*index);
        }
        let left = || {
            let mut rows = self.rows.iter();
            let found = rows.find(|(_, row)| keys.contains(&key_of_row(row)));
            found.map(|(index, _)| *index)
        };
        let Some(index) = in_force.or_else(left) else {
            return Ok(None);
        };
        self.claimed.insert(index, service.name.clone());
        Ok(self.rows.remove(&index).map(|row| (index, row)))
    }

    fn moved(&self, service: &Service, key: &ServiceKey, index: u32) -> String {
        let of = match (self.claimed.get(&index), self.rows.get(&index)) {
            (Some(name), _) => format!("service \"{name}\""),
            (None, Some(row)) => format!("the service of {}", key_name(&key_of_row(row))),
            (None, None) => "another service".to_owned(),
        };
        format!(
            "service \"{}\": {} is in force as a port of {of}: its established flows would break; take the port out of \
             that service first, start, then add it to this one. The lowest port that a service was first started with \
             is what it is known by, and leaves only with the whole service",
            service.name,
            key_name(key)
        )
    }
}
