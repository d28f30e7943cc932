//! What the network looks like → next hops, own addresses and interfaces in the maps.

use std::collections::BTreeSet;
use std::net::IpAddr;

use splitter_common::abi::{Address, Backend, Interface, Mode};

use super::core::Core;
use crate::dataplane::{Dataplane, DataplaneError};
use crate::net::{Hop, View, to_abi};

impl<D: Dataplane> Core<D> {
    /// The addresses whose next hops are wanted: those of all backends that count.
    pub(super) fn wanted_hops(&self) -> BTreeSet<IpAddr> {
        let numbers = self.services.iter().flat_map(|live| live.numbers.iter());
        numbers
            .filter(|(_, meaning)| meaning.is_alive())
            .filter_map(|(_, meaning)| Some(meaning.id()?.ip()))
            .collect()
    }

    /// Takes a new view of the network into force. One without links was never looked for, for every host has its
    /// loopback: what a daemon before this one wrote is better than nothing.
    pub(super) fn see(&mut self, view: View) -> Result<(), DataplaneError> {
        if view.links.is_empty() {
            return Ok(());
        }
        self.view = view;
        self.view_due = true;
        self.write_view()
    }

    /// Writes the last view if it is not in the maps yet; where that fails, it stays due. One map that cannot be
    /// written keeps no other from being current, and next hops go first: packets follow them.
    pub(super) fn write_view(&mut self) -> Result<(), DataplaneError> {
        if !self.view_due {
            return Ok(());
        }
        let view = std::mem::take(&mut self.view);
        let hops = self.write_hops(&view);
        let interfaces = self.write_interfaces(&view);
        let own = self.write_own_addresses(&view);
        self.view = view;
        hops.and(interfaces).and(own)?;
        self.view_due = false;
        Ok(())
    }

    fn write_own_addresses(&mut self, view: &View) -> Result<(), DataplaneError> {
        let wanted: BTreeSet<Address> = view.own.iter().map(|a| to_abi(a.address)).collect();
        let there: BTreeSet<Address> = self.dataplane.own_addresses()?.into_iter().collect();
        for address in wanted.difference(&there) {
            self.dataplane.set_own_address(address, true)?;
        }
        for address in there.difference(&wanted) {
            self.dataplane.set_own_address(address, false)?;
        }
        Ok(())
    }

    /// Nothing is removed before the new program is attached: until then a daemon before this one may have left its
    /// own on other interfaces, where it goes on to answer for the VIPs should this start fail.
    fn write_interfaces(&mut self, view: &View) -> Result<(), DataplaneError> {
        let there = self.dataplane.interfaces()?;
        let carriers: Vec<(u32, Interface)> = view
            .links
            .iter()
            .filter(|link| self.carriers.contains(&link.index))
            .filter_map(|link| {
                let mac = link.mac?;
                Some((
                    link.index,
                    Interface {
                        mac,
                        reserved: [0; 2],
                    },
                ))
            })
            .collect();
        for (index, interface) in &carriers {
            if !there.contains(&(*index, *interface)) {
                self.dataplane.set_interface(*index, Some(*interface))?;
            }
        }
        if self.attached.is_empty() {
            return Ok(());
        }
        for (index, _) in there {
            if !carriers.iter().any(|(carrier, _)| *carrier == index) {
                self.dataplane.set_interface(index, None)?;
            }
        }
        Ok(())
    }

    fn write_hops(&mut self, view: &View) -> Result<(), DataplaneError> {
        for live in &self.services {
            for (number, meaning) in live.numbers.iter() {
                let Some(id) = meaning.id().filter(|_| meaning.is_alive()) else {
                    continue;
                };
                let index = live.row.first_backend + u32::from(number);
                let old = self.dataplane.backend(index)?;
                let Some(hop) = view.hops.get(&id.ip()) else {
                    continue;
                };
                let new = with_hop(&old, hop, live.row.mode);
                if new != old {
                    self.dataplane.set_backend(index, &new)?;
                    tracing::info!(
                        service = live.service.name,
                        backend = id.name(),
                        ?hop,
                        "next hop"
                    );
                }
            }
        }
        Ok(())
    }
}

/// A backend with its next hop. What is unresolved keeps the last one: the station may answer frames although it does
/// not answer questions, and dropping would be no better.
fn with_hop(old: &Backend, hop: &Hop, mode: u8) -> Backend {
    let mut new = *old;
    match hop {
        // In the other modes the packet is for the VIP, and this host is not the backend's for it.
        Hop::Local if mode != Mode::Nat as u8 => {}
        Hop::Local => {
            new.flags |= Backend::LOCAL;
            new.interface = 0;
            new.destination_mac = [0; 6];
            new.source_mac = [0; 6];
            new.mtu = 0;
        }
        Hop::Via {
            interface,
            destination_mac,
            source_mac,
            mtu,
        } => {
            new.flags &= !Backend::LOCAL;
            new.interface = *interface;
            new.destination_mac = *destination_mac;
            new.source_mac = *source_mac;
            new.mtu = *mtu;
        }
        Hop::Unresolved(_) => {}
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unresolved_backend_keeps_its_last_next_hop() {
        let old = Backend {
            interface: 3,
            destination_mac: [1; 6],
            flags: Backend::ALIVE,
            ..Backend::default()
        };
        let hop = Hop::Unresolved("silent".to_owned());
        assert_eq!(with_hop(&old, &hop, Mode::Nat as u8), old);
    }

    #[test]
    fn a_backend_that_moves_here_is_local_in_nat_mode_only() {
        let old = Backend {
            interface: 3,
            destination_mac: [1; 6],
            flags: Backend::ALIVE,
            ..Backend::default()
        };
        let nat = with_hop(&old, &Hop::Local, Mode::Nat as u8);
        assert_eq!(nat.flags, Backend::ALIVE | Backend::LOCAL);
        assert_eq!(nat.interface, 0);
        assert_eq!(with_hop(&old, &Hop::Local, Mode::Dsr as u8), old);
        let away = Hop::Via {
            interface: 4,
            destination_mac: [5; 6],
            source_mac: [6; 6],
            mtu: 1500,
        };
        let back = with_hop(&nat, &away, Mode::Nat as u8);
        assert_eq!((back.flags, back.interface), (Backend::ALIVE, 4));
    }
}
