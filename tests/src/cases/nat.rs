//! What `nat` remembers, in the words of case files: reverse records and calls that come back to their link.

use super::cast::Family;
use super::check::{Prepared, Seen};
use super::spec::{Instance, Protocol};
use super::world::{World, past};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use splitter_common::abi::{Backend, Hairpin, HairpinKey, Leg, Service, ServiceKey, Vip};
use splitter_common::datapath::flow_table::{Kind, Record as Packed, tag_of, tick};
use splitter_common::datapath::reverse::CLOSING_NS;
use splitter_common::hash::{self, Reverse};
use std::collections::BTreeMap;

/// A reverse record; of the flow of `client:40000` at `b0:8080`, where nothing else is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReverseRecord {
    /// `pending`, `learned`, `confirmed` or `closing`.
    pub kind: String,
    /// Number of the service: 0, or 1 for the one that shares.
    pub service: u16,
    /// The port that was dialled.
    #[serde(default = "dialled")]
    pub port: u16,
    /// The client, `name:port`.
    #[serde(default = "client")]
    pub client: String,
    /// The backend, `name:port`.
    #[serde(default = "backend")]
    pub backend: String,
    /// Seconds since it was made or refreshed.
    #[serde(default)]
    pub age: u64,
    /// Sequence number of the last packet, of which the record keeps the upper half.
    #[serde(default = "sequence")]
    pub sequence: u32,
}

/// A call that comes back to its link.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The caller, `name:port`.
    pub caller: String,
    /// What it dialled, `name:port`.
    #[serde(default = "vip")]
    pub vip: String,
    /// The backend that it got, `name:port`.
    #[serde(default = "backend")]
    pub backend: String,
    /// The port at the hairpin source; 1 to 4: the one that is tried first, second and so on for the frame.
    pub port: u16,
    /// Seconds since it was last seen.
    #[serde(default)]
    pub age: u64,
    /// The only key that is left of it: `call` or `answer`; absent: both.
    pub only: Option<String>,
}

const fn dialled() -> u16 {
    80
}

fn client() -> String {
    "client:40000".into()
}

fn backend() -> String {
    "b0:8080".into()
}

fn vip() -> String {
    "vip:80".into()
}

const fn sequence() -> u32 {
    1000
}

impl World {
    /// Adds a service at `at` that shares the backends of service `of`.
    pub fn share(&mut self, of: usize, family: Family, at: &str) -> Result<()> {
        let (vip, port) = family.socket(at)?;
        let mut key: ServiceKey = self.keys[of].0;
        (key.vip, key.port) = (vip, port);
        let index = self.services.len();
        self.keys.push((key, u32::try_from(index)?));
        self.services.push(Service {
            vip,
            port,
            index: u16::try_from(index)?,
            ..self.services[of]
        });
        let first = self.services[of].first_backend as usize;
        let count = self.services[of].backend_count as usize;
        for backend in &mut self.backends[first..first + count] {
            backend.flags |= Backend::SHARED;
            for (key, reply) in &mut self.replies {
                if (key.address, key.port) == (backend.address, backend.port) {
                    reply.shared = 1;
                }
            }
        }
        Ok(())
    }

    /// Sets the hairpin source of a family.
    pub fn use_hairpin(&mut self, family: Family) -> Result<()> {
        let source = family.address("hairpin")?;
        self.settings.hairpin_source[usize::from(family == Family::V6)] = source;
        self.vips.push((
            source,
            Vip {
                flags: Vip::ANNOUNCED,
            },
        ));
        Ok(())
    }
}

/// The port that is tried as the so-many-th for a call whose flow has this hash: a piece of 16 bits of it, with the top
/// bit set.
fn port(number: u16, flow_hash: Option<u64>) -> u16 {
    match (number, flow_hash) {
        (1..=4, Some(hash)) => 0x8000 | (hash >> (16 * (number - 1))) as u16,
        _ => number,
    }
}

/// Puts the port that is meant into `hairpin:1` to `hairpin:4` of a frame's source.
pub fn name_port(frame: &mut toml::Table, flow_hash: Option<u64>) {
    let from = frame.get("from").and_then(toml::Value::as_str);
    let number = from.and_then(|from| from.strip_prefix("hairpin:")?.parse().ok());
    if let Some(number) = number {
        let from = format!("hairpin:{}", port(number, flow_hash));
        frame.insert("from".into(), from.into());
    }
}

/// Puts what the case remembers into the tables; `flow_hash` is the frame's.
pub fn fill(
    instance: &Instance,
    world: &mut World,
    flow_hash: Option<u64>,
    now: u64,
) -> Result<()> {
    for (index, record) in instance.case.reverse.iter().enumerate() {
        let (a, b) = pack(record, instance, world, past(now, record.age)?)?.pack();
        let words = &mut world.reverse[0].words;
        (words[2 * index], words[2 * index + 1]) = (a, b);
    }
    for call in &instance.case.calls {
        world
            .hairpins
            .extend(entries(call, instance, flow_hash, past(now, call.age)?)?);
    }
    Ok(())
}

/// A record that was made or refreshed at `at`.
fn pack(record: &ReverseRecord, instance: &Instance, world: &World, at: u64) -> Result<Packed> {
    let (client, client_port) = instance.family.socket(&record.client)?;
    let (backend, backend_port) = instance.family.socket(&record.backend)?;
    let flow = Reverse {
        client: &client,
        backend: &backend,
        client_port,
        backend_port,
        protocol: world.services[0].protocol,
        ipv6: u8::from(instance.family == Family::V6),
    };
    let service = world.services.get(usize::from(record.service));
    let service = service.context("no such service")?;
    let (kind, closing, life) = match record.kind.as_str() {
        "pending" => (Kind::Pending, false, service.pending_ns),
        "learned" => (Kind::Learned, false, service.pending_ns),
        "confirmed" => (Kind::Confirmed, false, service.record_ns),
        "closing" => (Kind::Confirmed, true, service.record_ns.min(CLOSING_NS)),
        other => bail!("no kind of reverse record is called {other:?}"),
    };
    let sequence = if instance.protocol == Protocol::Tcp {
        record.sequence >> 16
    } else {
        0
    };
    Ok(Packed {
        kind,
        closing,
        tag: tag_of(hash::reverse_hash(&world.settings.hash_key, &flow)),
        backend: record.service,
        deadline: tick(at + life),
        low: u32::from(record.port) << 16 | sequence,
    })
}

fn entries(
    call: &Call,
    instance: &Instance,
    flow_hash: Option<u64>,
    seen: u64,
) -> Result<BTreeMap<HairpinKey, Hairpin>> {
    let (caller, caller_port) = instance.family.socket(&call.caller)?;
    let at_source = port(call.port, flow_hash);
    let (vip, vip_port) = instance.family.socket(&call.vip)?;
    let (backend, backend_port) = instance.family.socket(&call.backend)?;
    let protocol = match instance.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let hairpin = Hairpin {
        caller,
        vip,
        backend,
        caller_port,
        vip_port,
        backend_port,
        port: at_source,
        seen,
    };
    let there = HairpinKey {
        near: caller,
        far: vip,
        near_port: caller_port,
        far_port: vip_port,
        protocol,
        leg: Leg::Call as u8,
        reserved: 0,
    };
    let back = HairpinKey {
        near: instance.family.address("hairpin")?,
        far: backend,
        near_port: at_source,
        far_port: backend_port,
        leg: Leg::Answer as u8,
        ..there
    };
    let mut entries = BTreeMap::from([(there, hairpin), (back, hairpin)]);
    match call.only.as_deref() {
        None => {}
        Some("call") => drop(entries.remove(&back)),
        Some("answer") => drop(entries.remove(&there)),
        Some(other) => bail!("no key of a call is named {other:?}"),
    }
    Ok(entries)
}

/// Fails where what is remembered afterwards is not what the case says.
pub fn judge(instance: &Instance, prepared: &Prepared, seen: &Seen) -> Result<()> {
    let case = &instance.case;
    let (world, now) = (&prepared.world, prepared.now);
    let flow_hash = prepared.flow.map(|(hash, _)| hash);
    match &case.reverse_after {
        None => ensure!(
            seen.reverse[0] == world.reverse[0].words,
            "the reverse records changed: {:?}",
            unpack(&seen.reverse[0])
        ),
        Some(after) => {
            let mut found = unpack(&seen.reverse[0]);
            for record in after {
                let at = position(record, &found, instance, world, seen, now)?;
                let at = at.with_context(|| format!("no {record:?} among {found:?}"))?;
                found.remove(at);
            }
            ensure!(found.is_empty(), "reverse records too many: {found:?}");
        }
    }
    let mut expected = world.hairpins.clone();
    if let Some(after) = &case.calls_after {
        expected.clear();
        for call in after {
            expected.extend(entries(call, instance, flow_hash, past(now, call.age)?)?);
        }
    }
    let same = |(key, call): (&HairpinKey, &Hairpin)| {
        expected.get(key).is_some_and(|wanted| {
            let fresh = (seen.clock.0..=seen.clock.1).contains(&call.seen);
            let seen = if fresh { call.seen } else { wanted.seen };
            *call == Hairpin { seen, ..*wanted }
        })
    };
    ensure!(
        expected.len() == seen.hairpins.len() && seen.hairpins.iter().all(same),
        "calls are {:?}, expected {expected:?}",
        seen.hairpins
    );
    Ok(())
}

/// Where a record is; one of age 0 was made in the run, at a time that only the program knows.
fn position(
    record: &ReverseRecord,
    found: &[Packed],
    instance: &Instance,
    world: &World,
    seen: &Seen,
    now: u64,
) -> Result<Option<usize>> {
    let fresh = record.age == 0;
    let at = if fresh {
        seen.clock.0
    } else {
        past(now, record.age)?
    };
    let wanted = pack(record, instance, world, at)?;
    let slack = if fresh {
        tick(seen.clock.1) - tick(seen.clock.0) + 1
    } else {
        0
    };
    Ok(found.iter().position(|packed| {
        let later = packed.deadline.wrapping_sub(wanted.deadline);
        let deadline = wanted.deadline;
        later <= slack
            && Packed {
                deadline,
                ..*packed
            } == wanted
    }))
}

fn unpack(words: &[u64; 8]) -> Vec<Packed> {
    splitter_common::datapath::flow_table::records(words).collect()
}
