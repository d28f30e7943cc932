//! The contents of the tables in which a case runs.

use super::cast::{ELSEWHERE, Family, INGRESS, mac};
use super::memory::{Bytes, Memory};
use super::spec::{BackendChange, Instance, Note, Protocol, Record, Route, Slot, Way};
use anyhow::{Context, Result, bail};
use splitter_common::abi::{
    Address, Affinity, Backend, FlowSet, Flows, Fragment, FragmentKey, Hairpin, HairpinKey,
    Interface, Mode, Reply, ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotState, SlotWord,
    Stamps, Vip,
};
use splitter_common::datapath::flow_table::{Kind, Record as Packed, tag_of, tick};
use splitter_common::datapath::fragment;
use splitter_common::datapath::parse::{Headers, Parsed, parse};
use splitter_common::datapath::route;
use splitter_common::datapath::tables::NextHop;
use splitter_common::hash;
use std::collections::BTreeMap;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Slots of each service: few, as all of a case's slots are alike.
pub const SLOTS: u32 = 4;
/// Backends of each service.
pub const BACKENDS: u32 = 4;
/// The port in `nat` mode of the backends of the first service; those of the next one have the next.
pub const BACKEND_PORT: u16 = 8080;

/// Everything that the steering code can look up.
#[derive(Clone, Debug)]
pub struct World {
    /// Host-wide values.
    pub settings: Settings,
    /// VIPs.
    pub vips: Vec<(Address, Vip)>,
    /// Keys of services.
    pub keys: Vec<(ServiceKey, u32)>,
    /// Services.
    pub services: Vec<Service>,
    /// Slot words.
    pub slots: Vec<SlotWord>,
    /// Stamps, index for index with `slots`.
    pub stamps: Vec<Stamps>,
    /// Backends.
    pub backends: Vec<Backend>,
    /// The flow table.
    pub flows: Vec<FlowSet>,
    /// Prefixes of clients, and the rows that govern them.
    pub rows: Vec<(RouteKey, u32)>,
    /// What the sources of replies become.
    pub replies: Vec<(ReplyKey, Reply)>,
    /// The table of reverse records.
    pub reverse: Vec<FlowSet>,
    /// Addresses of `nat` backends.
    pub nat: Vec<Address>,
    /// Calls of backends that come back to their link.
    pub hairpins: BTreeMap<HairpinKey, Hairpin>,
    /// What is noted of first fragments.
    pub fragments: Vec<(FragmentKey, Fragment)>,
    /// Addresses of this host.
    pub own: Vec<Address>,
    /// Interfaces that carry the program.
    pub interfaces: Vec<(u32, Interface)>,
    /// Destinations whose next hop the kernel knows.
    pub routes: Vec<(Address, NextHop)>,
}

impl World {
    /// A world without services; `flow_sets` is a power of two.
    pub fn empty(flow_sets: u32) -> Result<Self> {
        let mut world = Self {
            settings: Settings {
                hash_key: [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
                flow_set_mask: flow_sets - 1,
                handshake_mask: 15,
                reverse_set_mask: flow_sets - 1,
                ..Settings::default()
            },
            vips: Vec::new(),
            keys: Vec::new(),
            services: Vec::new(),
            slots: Vec::new(),
            stamps: Vec::new(),
            backends: Vec::new(),
            flows: vec![FlowSet::default(); flow_sets as usize],
            rows: Vec::new(),
            replies: Vec::new(),
            reverse: vec![FlowSet::default(); flow_sets as usize],
            nat: Vec::new(),
            hairpins: BTreeMap::new(),
            fragments: Vec::new(),
            own: Vec::new(),
            interfaces: Vec::new(),
            routes: Vec::new(),
        };
        for (index, name) in [(INGRESS, "own"), (ELSEWHERE, "own7")] {
            let interface = Interface {
                mac: mac(name)?,
                ..Default::default()
            };
            world.interfaces.push((index, interface));
        }
        for family in [Family::V4, Family::V6] {
            world.own.push(family.address("host")?);
            let hop = NextHop {
                interface: ELSEWHERE,
                destination_mac: mac("router")?,
                source_mac: mac("exit")?,
            };
            world.routes.push((family.address("client")?, hop));
            for (name, flags) in [("vip", Vip::ANNOUNCED), ("quiet", 0)] {
                world.vips.push((family.address(name)?, Vip { flags }));
            }
        }
        Ok(world)
    }

    /// The world of an instance: one service on `vip`, port 80, and its four backends.
    pub fn of(instance: &Instance, now: u64) -> Result<Self> {
        let mut world = Self::empty(1)?;
        let case = &instance.case;
        world.add_service(instance.family, instance.protocol, instance.way, "vip:80")?;
        world.services[0].flows = match case.flows.as_deref() {
            None | Some("hash") => Flows::Hash,
            Some("track") => Flows::Track,
            Some(other) => bail!("no flows are called {other:?}"),
        } as u8;
        let (word, stamps) = slot(&case.slot, now)?;
        if case.icmp_echo {
            for (_, vip) in &mut world.vips {
                vip.flags |= Vip::ECHO;
            }
        }
        world.slots.fill(word);
        world.stamps.fill(stamps);
        world.add_ports(&case.more_ports);
        if let Some(prefix) = case.client_prefix {
            world.services[0].affinity = Affinity::Client as u8;
            world.services[0].client_prefix = prefix;
            for (slot, number) in world.slots.iter_mut().zip(0..) {
                *slot = SlotWord::steady(number);
            }
        }
        if case.shared {
            world.share(0, instance.family, "quiet:80")?;
        }
        if case.hairpin {
            world.use_hairpin(instance.family)?;
        }
        for route in &case.routes {
            world.add_route(instance.family, route, now)?;
        }
        for (number, change) in &case.backends {
            let backend = world
                .backends
                .get_mut(number.parse::<usize>()?)
                .with_context(|| format!("no backend {number}"))?;
            apply(backend, change);
        }
        Ok(world)
    }

    /// Gives the only service more ports.
    fn add_ports(&mut self, ports: &[u16]) {
        if ports.is_empty() {
            return;
        }
        let (key, index) = self.keys[0];
        let more = ports
            .iter()
            .map(|port| (ServiceKey { port: *port, ..key }, index));
        self.keys.extend(more);
        for backend in &mut self.backends {
            backend.port = 0;
        }
        let one: Vec<_> = std::mem::take(&mut self.replies);
        for (key, _) in &self.keys {
            let port = key.port;
            let back = |(from, to): &(ReplyKey, Reply)| {
                (ReplyKey { port, ..*from }, Reply { port, ..*to })
            };
            self.replies.extend(one.iter().map(back));
        }
    }

    /// Adds a service with its slots at rest on its backend 0, its backends and their replies.
    pub fn add_service(
        &mut self,
        family: Family,
        protocol: Protocol,
        way: Way,
        at: &str,
    ) -> Result<()> {
        let (vip, port) = family.socket(at)?;
        let protocol = match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        };
        let key = ServiceKey {
            vip,
            port,
            protocol,
            reserved: 0,
        };
        let backend_port = BACKEND_PORT + u16::try_from(self.services.len())?;
        self.keys.push((key, u32::try_from(self.services.len())?));
        self.services.push(Service {
            vip,
            prepare_ns: 10 * SECOND,
            record_ns: 60 * SECOND,
            pending_ns: 40 * SECOND,
            fin_ns: 20 * SECOND,
            window: 32 << 10,
            first_slot: u32::try_from(self.slots.len())?,
            slot_mask: SLOTS - 1,
            first_backend: u32::try_from(self.backends.len())?,
            backend_count: BACKENDS,
            port,
            protocol,
            mode: if way == Way::Dsr {
                Mode::Dsr
            } else {
                Mode::Nat
            } as u8,
            affinity: Affinity::Flow as u8,
            in_use: 1,
            client_prefix: 0,
            index: u16::try_from(self.services.len())?,
            routed: 0,
            flows: Flows::Hash as u8,
            reserved: [0; 1],
        });
        for _ in 0..SLOTS {
            self.slots.push(SlotWord::steady(0));
            self.stamps.push(Stamps::default());
        }
        for number in 0..BACKENDS {
            let backend = backend(family, way, number, backend_port)?;
            if way != Way::Dsr {
                let key = ReplyKey {
                    address: backend.address,
                    port: backend.port,
                    protocol,
                    reserved: 0,
                };
                let reply = Reply {
                    vip,
                    port,
                    shared: 0,
                };
                self.replies.push((key, reply));
                self.nat.push(backend.address);
            }
            self.backends.push(backend);
        }
        Ok(())
    }
}

impl World {
    /// Gives clients of the first service a row of slots of their own.
    fn add_route(&mut self, family: Family, route: &Route, now: u64) -> Result<()> {
        let service = self.services.first_mut().context("a service")?;
        service.routed = 1;
        let of_address = route.bits + if family == Family::V4 { 96 } else { 0 };
        let mut address = u128::from_be_bytes(family.address(&route.clients)?);
        address &= u128::MAX.checked_shl(128 - of_address).unwrap_or(0);
        let key = RouteKey {
            prefix_length: RouteKey::SERVICE_BITS + of_address,
            first_slot: service.first_slot,
            address: address.to_be_bytes(),
        };
        self.rows.push((key, u32::try_from(self.slots.len())?));
        let (word, stamps) = slot(&route.slot, now)?;
        for _ in 0..SLOTS {
            self.slots.push(word);
            self.stamps.push(stamps);
        }
        Ok(())
    }
}

/// Backend `number`: the odd ones are reached through another interface than the one that frames come in on.
fn backend(family: Family, way: Way, number: u32, port: u16) -> Result<Backend> {
    let name = format!("b{number}");
    let (interface, source) = if number.is_multiple_of(2) {
        (INGRESS, "own")
    } else {
        (ELSEWHERE, "own7")
    };
    let local = way == Way::Local;
    Ok(Backend {
        address: family.address(&name)?,
        interface: if local { 0 } else { interface },
        flags: Backend::ALIVE | if local { Backend::LOCAL } else { 0 },
        destination_mac: if local { [0; 6] } else { mac(&name)? },
        source_mac: if local { [0; 6] } else { mac(source)? },
        port: if way == Way::Dsr { 0 } else { port },
        mtu: 1500,
        reserved: [0; 6],
    })
}

fn apply(backend: &mut Backend, change: &BackendChange) {
    match change.alive {
        Some(true) => backend.flags |= Backend::ALIVE,
        Some(false) => backend.flags &= !Backend::ALIVE,
        None => {}
    }
    backend.interface = change.interface.unwrap_or(backend.interface);
    backend.port = change.port.unwrap_or(backend.port);
    backend.mtu = change.mtu.unwrap_or(backend.mtu);
}

/// Word and stamps of a slot; a stamp that is not given is one second after boot, long before `now`.
fn slot(slot: &Slot, now: u64) -> Result<(SlotWord, Stamps)> {
    let state = match slot.state.as_deref() {
        None | Some("steady") => SlotState::Steady,
        Some("track") => SlotState::Track,
        Some("residue") => SlotState::Residue,
        Some("handover") => SlotState::Handover,
        Some(other) => bail!("no slot state is called {other:?}"),
    };
    let at = |age: Option<u64>| match age {
        None => Ok(SECOND),
        Some(age) => past(now, age),
    };
    let stamps = Stamps {
        unlogged: at(slot.unlogged)?,
        bare_syn: at(slot.bare_syn)?,
        foreign: at(slot.foreign)?,
        reserved: 0,
    };
    let word = SlotWord::new(state, slot.base, slot.current.unwrap_or(slot.base));
    Ok((word, stamps))
}

/// The time `age` seconds before `now`.
pub fn past(now: u64, age: u64) -> Result<u64> {
    now.checked_sub(age * SECOND)
        .with_context(|| format!("the machine has not been up for {age} seconds yet"))
}

/// What the fragments of a frame's datagram have in common.
pub fn fragment_key(world: &World, bytes: &[u8]) -> FragmentKey {
    let mut headers = Headers::default();
    parse(&Bytes::new(world, INGRESS, bytes.to_vec()), &mut headers);
    fragment::key(&headers)
}

/// A note of a first fragment; its time counts from `now`.
pub fn note(world: &World, note: &Note, now: u64) -> Result<Fragment> {
    let way = match note.way.as_str() {
        "stack" => Fragment::STACK,
        "backend" => Fragment::BACKEND,
        "reply" => Fragment::REPLY,
        other => bail!("a first fragment does not go the way {other:?}"),
    };
    let first = world.services[0].first_backend;
    Ok(Fragment {
        seen_ns: past(now, note.age)?,
        way,
        service: 0,
        backend: if way == Fragment::BACKEND {
            first + u32::from(note.backend)
        } else {
            0
        },
        end: if way == Fragment::STACK {
            0
        } else {
            note.end.unwrap_or(8)
        },
        vip: if way == Fragment::REPLY {
            world.services[0].vip
        } else {
            Address::default()
        },
    })
}

/// Hash and slot of the flow of a frame.
pub fn flow(world: &World, bytes: &[u8]) -> Option<(u64, usize)> {
    let mut headers = Headers::default();
    let packet = Bytes::new(world, INGRESS, bytes.to_vec());
    if parse(&packet, &mut headers) != Parsed::Transport {
        return None;
    }
    let key = &world.settings.hash_key;
    let hash = hash::flow_hash(key, &headers);
    let service = &world.services[0];
    let slot = hash::slot(key, service, &headers, hash) - service.first_slot;
    let row = route::row(&Memory::new(world, 0), service, &headers.source);
    Some((hash, (row + slot) as usize))
}

/// The words of a record; its times count from `now`.
pub fn pack(record: &Record, flow_hash: u64, world: &World, now: u64) -> Result<(u64, u64)> {
    let service = &world.services[0];
    let at = past(now, record.age)?;
    let (kind, closing) = match record.kind.as_str() {
        "pending" => (Kind::Pending, false),
        "learned" => (Kind::Learned, false),
        "confirmed" => (Kind::Confirmed, false),
        "closing" => (Kind::Confirmed, true),
        "learned_closing" => (Kind::Learned, true),
        other => bail!("no kind of record is called {other:?}"),
    };
    let (life, low) = if kind == Kind::Pending {
        (service.pending_ns, record.sequence)
    } else {
        (service.record_ns, tick(at))
    };
    let packed = Packed {
        kind,
        closing,
        tag: tag_of(flow_hash.wrapping_add(record.stranger)),
        backend: u16::try_from(service.first_backend)? + record.backend,
        deadline: tick(at + life),
        low,
    };
    Ok(packed.pack())
}
