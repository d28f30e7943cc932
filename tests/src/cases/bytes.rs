//! Frames in memory, for the host: as they come in and as they leave.

use super::memory::find;
use super::world::World;
use splitter_common::abi::{Address, mapped};
use splitter_common::datapath::packet::Packet;
use splitter_common::datapath::reply::Egress;
use splitter_common::datapath::tables::NextHop;
use splitter_common::wire::checksum::Change;

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

    fn route(&self, _: &Address, destination: &Address, _: u8, length: u16) -> Option<NextHop> {
        // The MTU of the link that the kernel's test runs route over; of what is longer the look-up says no way.
        if length > 1500 {
            return None;
        }
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
