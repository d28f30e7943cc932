//! Random worlds and frames, for the comparison of host and kernel. Everything follows from a seed.

use super::cast::Family;
use super::craft::{Frame, craft};
use super::memory::Bytes;
use super::mutate::mutate;
use super::spec::{Protocol, Way};
use super::world::{BACKEND_PORT, SECOND, World, past};
use anyhow::Result;
use splitter_common::abi::{Backend, Mode, SlotState, SlotWord, Stamps, Vip};
use splitter_common::datapath::flow_table::{Kind, Record, tag_of, tick};
use splitter_common::datapath::parse::{Headers, Parsed, parse};
use splitter_common::hash;
use toml::{Table, Value};

/// A sequence of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True once in `often`.
    pub fn once_in(&mut self, often: u64) -> bool {
        self.below(often) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
/// Ports of the services in each mode.
const WAYS: [(Way, u16); 3] = [(Way::Dsr, 80), (Way::Nat, 81), (Way::Local, 82)];
/// Source ports: few, so that flows come again.
const PORTS: [u16; 4] = [40_000, 40_001, 40_002, 40_003];
/// Flow sets: few, so that they fill up.
const SETS: u32 = 8;

/// Twelve services, their slots in all states, and records of the flows that [`frame`] makes. Times are far from all
/// thresholds, as the kernel's clock moves on during a run.
pub fn world(random: &mut Random, now: u64) -> Result<World> {
    let mut world = World::empty(SETS)?;
    for family in FAMILIES {
        for protocol in PROTOCOLS {
            for (way, port) in WAYS {
                world.add_service(family, protocol, way, &format!("vip:{port}"))?;
            }
        }
    }
    // Services in nat mode that share the backends of another one, and sources for calls that come back.
    for of in 0..world.services.len() {
        let family = if of < 6 { Family::V4 } else { Family::V6 };
        if world.services[of].mode == Mode::Nat as u8 && !random.once_in(3) {
            world.share(of, family, &format!("quiet:{}", 80 + of % 3))?;
        }
    }
    for family in FAMILIES {
        if !random.once_in(4) {
            world.use_hairpin(family)?;
        }
    }
    for (word, stamps) in world.slots.iter_mut().zip(&mut world.stamps) {
        let state = random.pick(&[
            SlotState::Steady,
            SlotState::Track,
            SlotState::Track,
            SlotState::Residue,
            SlotState::Handover,
        ]);
        // Backend 4 does not exist.
        let backend = |random: &mut Random| {
            if random.once_in(40) {
                4
            } else {
                random.below(4) as u16
            }
        };
        *word = SlotWord::new(state, backend(random), backend(random));
        let mut stamp = || if random.once_in(3) { now } else { SECOND };
        *stamps = Stamps {
            unlogged: stamp(),
            bare_syn: stamp(),
            foreign: stamp(),
            reserved: 0,
        };
    }
    for (_, vip) in &mut world.vips {
        if random.once_in(2) {
            vip.flags |= Vip::ECHO;
        }
    }
    for backend in &mut world.backends {
        if random.once_in(12) {
            backend.flags &= !Backend::ALIVE;
        }
        if random.once_in(12) {
            backend.interface = 0;
        }
        backend.mtu = random.pick(&[1500, 1500, 200, 0]);
    }
    for _ in 0..random.below(40) {
        let bytes = crafted(random)?;
        record(&mut world, random, &bytes, now)?;
    }
    Ok(world)
}

/// A record of the flow of a frame, in its set, if it has a flow.
fn record(world: &mut World, random: &mut Random, bytes: &[u8], now: u64) -> Result<()> {
    let mut headers = Headers::default();
    let packet = Bytes::new(world, 1, bytes.to_vec());
    if parse(&packet, &mut headers) != Parsed::Transport {
        return Ok(());
    }
    let Some((_, service)) = world.keys.iter().find(|(key, _)| {
        (key.vip, key.port, key.protocol)
            == (
                headers.destination,
                headers.destination_port,
                headers.protocol,
            )
    }) else {
        return Ok(());
    };
    let service = world.services[*service as usize];
    let flow_hash = hash::flow_hash(&world.settings.hash_key, &headers);
    let kind = random.pick(&[Kind::Pending, Kind::Learned, Kind::Confirmed]);
    // Young; past the time after which a closed flow may begin anew; expired.
    let at = past(now, random.pick(&[0, 1, 25, 65]))?;
    let (life, low) = if kind == Kind::Pending {
        (service.pending_ns, random.pick(&[1000, 5000]))
    } else {
        (service.record_ns, tick(at))
    };
    let record = Record {
        kind,
        closing: kind != Kind::Pending && random.once_in(3),
        tag: tag_of(flow_hash),
        backend: service.first_backend as u16 + random.below(4) as u16,
        deadline: tick(at + life),
        low,
    };
    let set = splitter_common::datapath::flow_table::set_index(flow_hash, SETS - 1);
    let entry = 2 * random.below(4) as usize;
    let words = &mut world.flows[set as usize].words;
    // A flow has one record of a sort, as the rules keep it.
    let pending = |kind: Kind| kind == Kind::Pending;
    for other in [0, 2, 4, 6] {
        let same = Record::unpack(words[other], words[other + 1])
            .is_some_and(|found| found.tag == record.tag && pending(found.kind) == pending(kind));
        if same {
            words[other] = 0;
        }
    }
    (words[entry], words[entry + 1]) = record.pack();
    Ok(())
}

/// A frame: sound, or changed in a few places.
pub fn frame(random: &mut Random) -> Result<Vec<u8>> {
    let mut bytes = crafted(random)?;
    if random.once_in(2) {
        return Ok(bytes);
    }
    let other = crafted(random)?;
    mutate(random, &mut bytes, &other);
    Ok(bytes)
}

/// VLAN tags, extension headers, and fragments, of few datagrams: later ones meet their firsts.
fn links_and_fragments(random: &mut Random, frame: &mut Frame) {
    if random.once_in(6) {
        frame.vlan = vec![random.number() as u16; 1 + random.below(3) as usize];
    }
    if random.once_in(6) {
        let all = ["hop_by_hop", "destination", "routing"];
        frame.extensions = (0..=random.below(7))
            .map(|_| random.pick(&all).into())
            .collect();
    }
    frame.fragment_header = random.once_in(8);
    match random.below(12) {
        0 => frame.more_fragments = true,
        1 => {
            frame.fragment_offset = random.pick(&[1, 8, 30, 30, 100, 8191]);
            frame.more_fragments = random.once_in(2);
        }
        _ => {}
    }
}

/// A sound frame, most of them for a service.
fn crafted(random: &mut Random) -> Result<Vec<u8>> {
    let family = random.pick(&FAMILIES);
    let protocol = random.pick(&PROTOCOLS);
    let port = random.pick(&PORTS);
    let mut frame = Frame {
        from: format!("client:{port}"),
        to: format!("vip:{}", 80 + random.below(3)),
        flags: random
            .pick(&[
                "S", "S", "S", "A", "A", "PA", "PA", "FA", "R", "RA", "SA", "SF", "",
            ])
            .into(),
        sequence: random.pick(&[1000, 1001, 1001, 5000, 5001, 33_768, 33_769, 90_000]),
        ttl: random.pick(&[64, 64, 64, 255, 2, 1, 0]),
        tos: random.number() as u8,
        ..Frame::default()
    };
    if random.once_in(2) {
        frame.payload = random.below(300) as usize;
    }
    if random.once_in(8) {
        frame.ip_options = "01010100".into();
        frame.tcp_options = "01010101".into();
    }
    links_and_fragments(random, &mut frame);
    if random.once_in(25) {
        frame.destination_mac = random.pick(&["broadcast", "solicited", "other"]).into();
    }
    frame.no_checksum = family == Family::V4 && random.once_in(5);
    match random.below(20) {
        // Replies, of all services; to the client, to one whose way is not known, to this host.
        0..4 => {
            // Services are numbered by family, protocol and mode; those in dsr mode have no replies.
            let service = match (family, protocol) {
                (Family::V4, Protocol::Tcp) => 0,
                (Family::V4, Protocol::Udp) => 3,
                (Family::V6, Protocol::Tcp) => 6,
                (Family::V6, Protocol::Udp) => 9,
            };
            let backend_port = u64::from(BACKEND_PORT) + service + random.below(3);
            frame.from = format!("b{}:{backend_port}", random.below(4));
            let to = random.pick(&["client", "client", "nowhere", "host"]);
            frame.to = format!("{to}:{port}");
        }
        4 => {
            frame.kind = Some("solicitation".into());
            frame.from = "neighbour:0".into();
            frame.ttl = 255;
            if family == Family::V4 {
                frame.kind = Some("arp".into());
                frame.destination_mac = "broadcast".into();
            }
        }
        5..8 => icmp(random, &mut frame, family),
        8 => frame.kind = Some("132".into()),
        13 => frame.to = random.pick(&["quiet:80", "host:80", "vip:83"]).into(),
        // To a service that shares its backends; calls of backends, and what may be their answers.
        9 | 10 => frame.to = format!("quiet:{}", 81 + random.below(2)),
        11 => {
            frame.from = format!("b{}:{port}", random.below(4));
            frame.to = format!("vip:{}", 81 + random.below(2));
        }
        12 => {
            frame.from = format!("b{}:{}", random.below(4), BACKEND_PORT + 1);
            frame.to = format!("hairpin:{port}");
        }
        14 => {
            // IPv6 that names the IPv4 addresses of VIP, client and backend.
            frame.family = Some(Family::V6);
            let vip = format!("::ffff:203.0.113.10:{}", 80 + random.below(3));
            let backend = format!(
                "::ffff:10.0.0.11:{}",
                u64::from(BACKEND_PORT) + random.below(6)
            );
            let (from, to) = random.pick(&[
                ("client:40000", vip.as_str()),
                ("::ffff:198.51.100.7:40000", vip.as_str()),
                ("::ffff:198.51.100.7:40000", "vip:80"),
                (backend.as_str(), "client:40000"),
                (backend.as_str(), "::ffff:198.51.100.7:40000"),
            ]);
            (frame.from, frame.to) = (from.into(), to.into());
        }
        _ => {}
    }
    craft(&frame, family, protocol)
}

/// Makes an ICMP message of a frame: an echo request, or an error about it, or about what answers it.
fn icmp(random: &mut Random, frame: &mut Frame, family: Family) {
    frame.kind = Some("icmp".into());
    if random.once_in(4) {
        frame.to = "vip:0".into();
        return;
    }
    let [errors, others] = match family {
        Family::V4 => [[3, 11], [12, 5]],
        Family::V6 => [[1, 2], [3, 137]],
    };
    let kind = if random.once_in(4) {
        random.pick(&others)
    } else {
        random.pick(&errors)
    };
    frame.icmp = Some([kind, random.below(6) as u8]);
    let mut quote = Table::new();
    let mut set = |key: &str, value: Value| quote.insert(key.into(), value);
    let (client, backend) = if random.once_in(3) {
        // About a client's packet, as a backend got it.
        let from = random.pick(&["client", "client", "nowhere", "host"]);
        let port = u64::from(BACKEND_PORT) + random.below(12);
        (
            format!("{from}:40000"),
            format!("b{}:{port}", random.below(4)),
        )
    } else {
        (frame.from.clone(), String::new())
    };
    if backend.is_empty() {
        set("from", frame.to.clone().into());
        set("to", client.into());
        frame.to = "vip:0".into();
    } else {
        frame.from = random.pick(&["neighbour:0", backend.as_str()]).into();
        frame.to = client.clone();
        set("from", client.into());
        set("to", backend.into());
    }
    set(
        "no_checksum",
        (family == Family::V4 && random.once_in(5)).into(),
    );
    set("more_fragments", random.once_in(20).into());
    if random.once_in(3) {
        let bytes = random.pick(&[8, 8, 7, 17, 18, 20]);
        set("cut", format!("l4+{bytes}").into());
    }
    if random.once_in(8) {
        set("ip_options", "0101010001010100".into());
    }
    frame.quote = Some(quote);
}
