//! Writing a configuration into the maps, at the start.

use std::collections::BTreeSet;

use splitter_common::abi::{Backend, SlotWord, Stamp, Vip};

use super::core::Core;
use super::identity::{BackendId, keys_of};
use super::live::Live;
use super::numbers::Number;
use super::replies::{self, Replies};
use super::start;
use super::store::ServiceState;
use crate::dataplane::{Dataplane, DataplaneError};
use crate::model::Announce;
use crate::net::to_abi;

impl<D: Dataplane> Core<D> {
    /// Writes a service in the order in which a packet, or a later start, may find it half done: what it refers to
    /// first, its key last.
    pub(super) fn install(
        &mut self,
        live: &Live,
        adopted: bool,
        replies: &Replies,
    ) -> Result<(), DataplaneError> {
        for (number, meaning) in live.numbers.iter() {
            if let Number::Configured(id) = meaning {
                self.enliven(live, number, id, adopted, replies)?;
            }
        }
        if !adopted {
            self.clear_unused(live)?;
            for (slot, wish) in (live.row.first_slot..).zip(&live.wishes) {
                for stamp in [Stamp::Unlogged, Stamp::BareSyn, Stamp::Foreign] {
                    self.dataplane.set_stamp(slot, stamp, 0)?;
                }
                self.dataplane
                    .set_slot(slot, SlotWord::steady(wish.owner))?;
            }
            self.dataplane.grace()?;
        }
        self.dataplane.set_service(live.index, &live.row)?;
        let vip = self.vip_of(live);
        self.dataplane.set_vip(&live.row.vip, Some(vip))?;
        for key in keys_of(&live.service) {
            self.dataplane.set_service_key(&key, Some(live.index))?;
        }
        Ok(())
    }

    /// What the services of its VIP ask for, this one and those installed before it.
    fn vip_of(&self, live: &Live) -> Vip {
        let mut flags = 0;
        for other in self.services.iter().chain([live]) {
            if other.row.vip != live.row.vip {
                continue;
            }
            if other.service.announce == Announce::Arp {
                flags |= Vip::ANNOUNCED;
            }
            if other.service.icmp_echo {
                flags |= Vip::ECHO;
            }
        }
        Vip { flags }
    }

    /// Makes a number stand for a backend; one that stood for it before keeps its next hop and its traffic.
    fn enliven(
        &mut self,
        live: &Live,
        number: u16,
        id: BackendId,
        adopted: bool,
        replies: &Replies,
    ) -> Result<(), DataplaneError> {
        let index = live.row.first_backend + u32::from(number);
        let old = self.dataplane.backend(index)?;
        let mut row = old;
        if is_new(&old, id, adopted) {
            row = Backend {
                address: id.address,
                port: id.port,
                ..Backend::default()
            };
            self.dataplane.clear_traffic(index)?;
        }
        row.flags = replies.flags(live, id, row.flags) | Backend::ALIVE;
        if row != old {
            self.dataplane.set_backend(index, &row)?;
        }
        Ok(())
    }

    /// A range that was just found for a service may hold rows that nobody cleared: whoever did was killed. A later
    /// start would take them for backends that leave.
    fn clear_unused(&mut self, live: &Live) -> Result<(), DataplaneError> {
        for number in 0..live.row.backend_count {
            let index = live.row.first_backend + number;
            let unused = live.numbers.get(number as u16) == Number::Free;
            if unused && self.dataplane.backend(index)? != Backend::default() {
                self.dataplane.set_backend(index, &Backend::default())?;
            }
        }
        Ok(())
    }

    /// The packet path answers for them on the link, as for a VIP.
    pub(super) fn write_hairpin_sources(&mut self) -> Result<(), DataplaneError> {
        for source in &self.hairpin_sources {
            let vip = Vip {
                flags: Vip::ANNOUNCED,
            };
            self.dataplane.set_vip(&to_abi(*source), Some(vip))?;
        }
        Ok(())
    }

    /// Takes keys, VIPs and replies out of force that no service of the configuration has.
    pub(super) fn remove_leftovers(&mut self, replies: &Replies) -> Result<(), DataplaneError> {
        for removed in &self.removed {
            start::tell_removed(removed);
        }
        let keys: BTreeSet<_> = self
            .services
            .iter()
            .flat_map(|live| keys_of(&live.service))
            .collect();
        for (key, _) in self.dataplane.service_keys()? {
            if !keys.contains(&key) {
                self.dataplane.set_service_key(&key, None)?;
            }
        }
        for (address, _) in self.dataplane.vips()? {
            let hairpin = self.hairpin_sources.iter().any(|it| to_abi(*it) == address);
            if !hairpin && !self.services.iter().any(|live| live.row.vip == address) {
                self.dataplane.set_vip(&address, None)?;
            }
        }
        replies::remove_others(&mut self.dataplane, replies)
    }
}

/// Whether a number did not stand for the backend up to now, so that its traffic begins at nothing.
fn is_new(row: &Backend, id: BackendId, adopted: bool) -> bool {
    !adopted || (row.address, row.port) != (id.address, id.port)
}

/// Drops baselines of traffic that is about to be cleared, or that went with its maps in a reboot. What is counted
/// then is all of the weights in force.
pub(super) fn forget_cleared<D: Dataplane>(
    kept: &mut ServiceState,
    live: &Live,
    adopted: bool,
    dataplane: &D,
) -> Result<(), DataplaneError> {
    if !adopted {
        kept.baseline.clear();
        kept.baseline_settled = true;
    }
    for (number, meaning) in live.numbers.iter() {
        if let Number::Configured(id) = meaning {
            let row = dataplane.backend(live.row.first_backend + u32::from(number))?;
            if is_new(&row, id, adopted) {
                kept.baseline.remove(&id.name());
            }
        }
    }
    Ok(())
}
