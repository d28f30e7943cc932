//! Counts of live flow records, by backend.

use std::collections::HashMap;

use splitter_common::abi::{Backend, WORDS_PER_SET};
use splitter_common::datapath::flow_table::{Kind, Record, records};
use splitter_common::datapath::tables::FlowCells as _;

use super::core::Core;
use crate::dataplane::{Dataplane, DataplaneError};

/// Live records of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) pending: u64,
    pub(super) learned: u64,
    pub(super) confirmed: u64,
}

impl Tally {
    pub(super) const fn total(&self) -> u64 {
        self.pending + self.learned + self.confirmed
    }

    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Pending => self.pending += 1,
            Kind::Learned => self.learned += 1,
            Kind::Confirmed => self.confirmed += 1,
        }
    }
}

/// Live records by index in `BACKENDS`.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    /// When it was taken, nanoseconds.
    pub(super) taken_ns: u64,
    by_backend: HashMap<u32, Tally>,
}

impl Census {
    /// Looks at the whole table: tens of milliseconds at a million records.
    pub(super) fn take<D: Dataplane>(dataplane: &D, now_ns: u64) -> Result<Self, DataplaneError> {
        let mut by_backend: HashMap<u32, Tally> = HashMap::new();
        each_live(dataplane, now_ns, |record| {
            by_backend
                .entry(u32::from(record.backend))
                .or_default()
                .add(record.kind);
        })?;
        for (backend, tally) in &mut by_backend {
            if !dataplane.backend(*backend)?.is(Backend::ALIVE) {
                *tally = Tally::default();
            }
        }
        Ok(Self {
            taken_ns: now_ns,
            by_backend,
        })
    }

    /// The records that name a backend.
    pub(super) fn of(&self, backend: u32) -> Tally {
        self.by_backend.get(&backend).copied().unwrap_or_default()
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        self.by_backend.values().map(Tally::total).sum()
    }
}

impl<D: Dataplane> Core<D> {
    /// Live reverse records.
    pub(super) fn reverse_records(&self, now_ns: u64) -> Result<u64, DataplaneError> {
        let mut live = 0;
        for index in 0..self.dataplane.reverse_sets() {
            let set = self.dataplane.reverse_cells(index)?;
            let words: [u64; WORDS_PER_SET] = std::array::from_fn(|word| set.load(word));
            if words != [0; WORDS_PER_SET] {
                live += records(&words)
                    .filter(|record| record.is_live(now_ns))
                    .count() as u64;
            }
        }
        Ok(live)
    }
}

/// Shows every record whose deadline is not past.
pub(super) fn each_live<D: Dataplane>(
    dataplane: &D,
    now_ns: u64,
    mut see: impl FnMut(&Record),
) -> Result<(), DataplaneError> {
    for set in 0..dataplane.flow_sets() {
        let words = dataplane.flow_set(set)?.words;
        if words == [0; 8] {
            continue;
        }
        records(&words)
            .filter(|record| record.is_live(now_ns))
            .for_each(|record| see(&record));
    }
    Ok(())
}
