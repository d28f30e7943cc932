//! Which number stands for which backend of a service: numbers never change their meaning while a slot word, a flow
//! record or a packet under way may hold them.

use splitter_common::abi::Backend as Row;

use super::identity::BackendId;
use crate::model::Service;
use crate::transition::DrainStage;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Nothing.
    Free,
    /// A backend of the configuration.
    Configured(BackendId),
    /// A backend that left the configuration, until nothing names it.
    Leaving(BackendId, DrainStage),
    /// A backend that nothing names any more; the number rests since then, nanoseconds.
    Resting(BackendId, u64),
}

impl Number {
    pub(super) const fn id(&self) -> Option<BackendId> {
        match self {
            Self::Free => None,
            Self::Configured(id) | Self::Leaving(id, _) | Self::Resting(id, _) => Some(*id),
        }
    }

    /// Whether slot words and records that name it count.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self, Self::Configured(_) | Self::Leaving(..))
    }
}

/// All numbers of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers(pub(super) Vec<Number>);

impl Numbers {
    /// Continues with the numbers that `rows` give, and finds numbers for the backends of `service` that have none.
    /// Fails with how many backends found no room.
    pub(super) fn adopt(rows: &[Row], service: &Service, now_ns: u64) -> Result<Self, usize> {
        let wanted = backends_of(service);
        let mut numbers: Vec<Number> = rows
            .iter()
            .map(|row| {
                let id = BackendId {
                    address: row.address,
                    port: row.port,
                };
                if row.address == [0; 16] {
                    Number::Free
                } else if wanted.contains(&id) {
                    Number::Configured(id)
                } else if row.is(Row::ALIVE) {
                    Number::Leaving(id, DrainStage::Named)
                } else {
                    // How long it has rested is not written anywhere: it rests anew.
                    Number::Resting(id, now_ns)
                }
            })
            .collect();
        let mut homeless = 0;
        for id in wanted {
            if numbers.contains(&Number::Configured(id)) {
                continue;
            }
            match numbers.iter_mut().find(|number| **number == Number::Free) {
                Some(number) => *number = Number::Configured(id),
                None => homeless += 1,
            }
        }
        if homeless > 0 {
            return Err(homeless);
        }
        Ok(Self(numbers))
    }

    /// The number of a backend of the configuration.
    pub(super) fn of(&self, id: &BackendId) -> Option<u16> {
        self.0
            .iter()
            .position(|number| *number == Number::Configured(*id))
            .map(|at| at as u16)
    }

    pub(super) fn get(&self, number: u16) -> Number {
        self.0
            .get(usize::from(number))
            .copied()
            .unwrap_or(Number::Free)
    }

    /// Numbers in use with what they stand for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Number)> + '_ {
        (0..).zip(self.0.iter().copied())
    }
}

/// Identities of a service's backends in the order of the file, each once.
pub(super) fn backends_of(service: &Service) -> Vec<BackendId> {
    let mut ids = Vec::new();
    for backend in service.versions.iter().flat_map(|v| &v.backends) {
        let id = BackendId::of(backend);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
