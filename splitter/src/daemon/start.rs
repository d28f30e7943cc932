//! From a configuration and what is pinned to services in force. All is judged before anything is written; every
//! write may be the last one of this process, and the next start goes on from there.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::ops::Range;

use splitter_common::abi::{Affinity, Backend, Mode, RouteKey, Service as Row, Settings};

use super::error::StartError;
use super::identity::{key_name, key_of_row, protocol_number};
use super::live::{Live, write_times};
use super::numbers::{Number, Numbers, backends_of};
use super::pinned::Pinned;
use super::ranges::{first_free, spare};
use super::store::State;
use crate::dataplane::{Dataplane, HANDSHAKE_CELLS, MAX_BACKENDS, MAX_SERVICES};
use crate::model::{BasisPoints, Configuration, DaemonSettings, Seed, Service, Weights};
use crate::net::to_abi;
use crate::transition::Wish;

/// A service that left the configuration: its numbers and slots stay taken until its records are over, so that it
/// finds all as it was when it comes back before.
#[derive(Clone, Debug)]
pub(super) struct Removed {
    pub(super) index: u32,
    pub(super) row: Row,
    /// First slots of the rows of its routes.
    pub(super) rows: Vec<u32>,
    /// When this daemon first saw it gone, nanoseconds.
    pub(super) since_ns: u64,
}

/// What the judgement came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) services: Vec<(Live, bool)>,
    pub(super) removed: Vec<Removed>,
}

/// Decides on the seed: pinned, else kept, else configured, else new. They must not contradict each other.
pub(super) fn seed(
    settings: &Settings,
    state: &State,
    configured: Option<Seed>,
) -> Result<Seed, StartError> {
    let pinned = (settings.handshake_mask != 0).then_some(Seed(settings.hash_key));
    let in_force = pinned.or_else(|| state.seed());
    match (in_force, configured) {
        (Some(in_force), Some(configured)) if in_force != configured => {
            Err(StartError::Refused(format!(
                "daemon.seed is another one than the seed in force (of {}): another seed re-hashes every flow; set it \
                 back, or run `splitter detach`, remove state.json from daemon.state_dir and start again",
                if pinned.is_some() {
                    "the pinned maps"
                } else {
                    "state.json"
                }
            )))
        }
        (Some(in_force), _) => Ok(in_force),
        (None, Some(configured)) => Ok(configured),
        (None, None) => random(),
    }
}

fn random() -> Result<Seed, StartError> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(StartError::Random)?;
    let bits = u128::from_ne_bytes(bytes);
    Ok(Seed([bits as u64, (bits >> 64) as u64]))
}

/// The host-wide values.
pub(super) fn settings<D: Dataplane>(
    seed: Seed,
    dataplane: &D,
    daemon: &DaemonSettings,
) -> Settings {
    let hairpin = |v4: bool| {
        let mut sources = daemon.hairpin_source.iter();
        let found = sources.find(|source| source.is_ipv4() == v4);
        found.map_or([0; 16], |source| to_abi(*source))
    };
    Settings {
        hash_key: seed.0,
        flow_set_mask: dataplane.flow_sets() - 1,
        handshake_mask: HANDSHAKE_CELLS - 1,
        reverse_set_mask: dataplane.reverse_sets() - 1,
        reserved: 0,
        hairpin_source: [hairpin(true), hairpin(false)],
    }
}

/// Judges a configuration against what is pinned.
pub(super) fn judge<D: Dataplane>(
    dataplane: &D,
    configuration: &Configuration,
    state: &State,
    seed: Seed,
    now_ns: u64,
) -> Result<Judged, StartError> {
    let mut pinned = Pinned::read(dataplane)?;
    let mut taken = Taken::default();
    let entries = dataplane.routes()?;
    for (index, row) in &pinned.rows {
        taken.add(*index, row);
        let rows = rows_of(&entries, row.first_slot);
        let ranges = rows
            .into_iter()
            .map(|first| first..first + row.slot_mask + 1);
        taken.slots.extend(ranges);
    }
    let found = configuration
        .services
        .iter()
        .map(|service| pinned.claim(service))
        .collect::<Result<Vec<_>, _>>()?;
    let new: Vec<&Service> = configuration
        .services
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|(service, _)| service)
        .collect();
    let room = Room::new(dataplane.slot_room(), &taken, &new);
    let mut services = Vec::new();
    for (service, found) in configuration.services.iter().zip(found) {
        let adopted = found.is_some();
        let (index, row) = match found {
            Some((index, row)) => {
                refuse_rehash(service, &row)?;
                (index, row)
            }
            None => room.allot(service, &mut taken)?,
        };
        let mut row = row;
        write_times(&mut row, service);
        // In a range that no service has, a row is what a killed start left behind: it means nothing.
        let rows = (0..row.backend_count)
            .map(|number| match adopted {
                true => dataplane.backend(row.first_backend + number),
                false => Ok(Backend::default()),
            })
            .collect::<Result<Vec<Backend>, _>>()?;
        let numbers = Numbers::adopt(&rows, service, now_ns)
            .map_err(|homeless| StartError::Refused(no_numbers(service, &row, homeless)))?;
        let mut live = Live {
            service: service.clone(),
            index,
            row,
            numbers,
            weights: None,
            wishes: Vec::new(),
            routes: Vec::new(),
            rows: Vec::new(),
            unrouted: Vec::new(),
            moving: true,
            rebase_at: None,
        };
        live.weights = weights(&live, state, adopted);
        let wishes = match &live.weights {
            Some(weights) => live
                .place(weights, seed)
                .map_err(|e| StartError::Refused(format!("service \"{}\": {e}", service.name)))?,
            None => live.words(dataplane)?.iter().map(|w| w.current()).collect(),
        };
        live.wishes = wishes.iter().map(|owner| later(*owner)).collect();
        refuse_lost_owners(&live)?;
        if adopted {
            live.adopt_routes(dataplane, &entries)?;
        }
        live.know_routes(state.routes.get(&live.state_key()));
        live.wish_of_routes(seed, &[]);
        live.row.routed = u8::from(!live.routes.is_empty());
        services.push((live, adopted));
    }
    let removed = pinned
        .rows
        .into_iter()
        .map(|(index, row)| Removed {
            index,
            row,
            rows: rows_of(&entries, row.first_slot).into_iter().collect(),
            since_ns: now_ns,
        })
        .collect();
    Ok(Judged { services, removed })
}

/// First slots of the rows that the routes of a service lead to.
fn rows_of(entries: &[(RouteKey, u32)], first_slot: u32) -> BTreeSet<u32> {
    let its = entries
        .iter()
        .filter(|(key, _)| key.first_slot == first_slot);
    its.map(|(_, row)| *row).collect()
}

const fn later(owner: u16) -> Wish {
    Wish {
        owner,
        at_once: false,
    }
}

/// Weights in force: those kept; else, at a first start, those of the file; else none: the slots go on as they are.
fn weights(live: &Live, state: &State, adopted: bool) -> Option<Weights> {
    let service = &live.service;
    let versions: Vec<&str> = service.versions.iter().map(|v| v.name.as_str()).collect();
    let Some(kept) = state.services.get(&live.state_key()) else {
        if adopted {
            tracing::warn!(
                service = service.name,
                "its weights are not known any more: its slots stay with their owners until weights are set"
            );
            return None;
        }
        return Some(service.weights.clone());
    };
    let named = kept
        .weights
        .iter()
        .filter(|(_, points)| **points > 0)
        .map(|(version, points)| (version.as_str(), BasisPoints(*points)));
    match Weights::from_named(&versions, named) {
        Ok(weights) => {
            if weights != service.weights {
                tracing::info!(
                    service = service.name,
                    "weights in force are not those of the file, which are the initial ones"
                );
            }
            Some(weights)
        }
        Err(error) => {
            tracing::warn!(
                service = service.name,
                %error,
                "the weights in force do not fit the versions of the file: its weights are taken"
            );
            Some(service.weights.clone())
        }
    }
}

/// With lost weights a slot may be with a backend that left the file: then nobody knows where its flows shall go.
fn refuse_lost_owners(live: &Live) -> Result<(), StartError> {
    let lost = live
        .wishes
        .iter()
        .filter(|wish| !matches!(live.numbers.get(wish.owner), Number::Configured(_)))
        .count();
    if lost == 0 || live.weights.is_some() {
        return Ok(());
    }
    Err(StartError::Refused(format!(
        "service \"{}\": the weights in force are lost (no state in daemon.state_dir) and {lost} of its slots are with \
         backends that the file no longer has: put these backends back, start, set weights, then take them out",
        live.service.name
    )))
}

/// As it stands in `SERVICES`. All the bits of an address are the whole address.
fn prefix_of(service: &Service) -> u8 {
    let bits = if service.vip.is_ipv4() { 32 } else { 128 };
    service
        .client_prefix
        .filter(|prefix| *prefix < bits)
        .unwrap_or(0)
}

fn refuse_rehash(service: &Service, row: &Row) -> Result<(), StartError> {
    let mode = |mode| {
        if mode == Mode::Dsr as u8 {
            "dsr"
        } else {
            "nat"
        }
    };
    let affinity = |affinity| {
        if affinity == Affinity::Flow as u8 {
            "flow"
        } else {
            "client"
        }
    };
    let prefix = |bits| match bits {
        0 => "the whole address".to_owned(),
        bits => format!("{bits} bits"),
    };
    let slots = row.slot_mask + 1;
    let differences = [
        (
            "slots",
            slots.to_string(),
            service.slots.to_string(),
            slots == service.slots,
        ),
        (
            "mode",
            mode(row.mode).to_owned(),
            mode(service.mode as u8).to_owned(),
            row.mode == service.mode as u8,
        ),
        (
            "affinity",
            affinity(row.affinity).to_owned(),
            affinity(service.affinity as u8).to_owned(),
            row.affinity == service.affinity as u8,
        ),
        (
            "client_prefix",
            prefix(row.client_prefix),
            prefix(prefix_of(service)),
            row.client_prefix == prefix_of(service),
        ),
    ];
    match differences.into_iter().find(|(_, _, _, same)| !same) {
        None => Ok(()),
        Some((what, found, expected, _)) => Err(StartError::Refused(format!(
            "service \"{}\": {what} is {found} in force and {expected} in the file: the change would break its \
             established flows; set it back, or run `splitter detach` and start again",
            service.name
        ))),
    }
}

fn no_numbers(service: &Service, row: &Row, homeless: usize) -> String {
    format!(
        "service \"{}\": {homeless} of its {} backends find no number: it has {} since it was first started, and those \
         of backends that left the file rest until their flows are over; take fewer backends in at a time, or run \
         `splitter detach` and start again",
        service.name,
        backends_of(service).len(),
        row.backend_count
    )
}

/// What services hold in the arrays.
#[derive(Debug, Default)]
struct Taken {
    services: Vec<u32>,
    slots: Vec<Range<u32>>,
    backends: Vec<Range<u32>>,
}

impl Taken {
    fn add(&mut self, index: u32, row: &Row) {
        self.services.push(index);
        self.slots
            .push(row.first_slot..row.first_slot + row.slot_mask + 1);
        self.backends
            .push(row.first_backend..row.first_backend + row.backend_count);
    }
}

/// Room for new services.
struct Room {
    slots: u32,
    backends_free: u32,
    backends_wanted: u32,
    services: u32,
}

impl Room {
    fn new(slots: u32, taken: &Taken, new: &[&Service]) -> Self {
        let held: u32 = taken
            .backends
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        Self {
            slots,
            backends_free: MAX_BACKENDS.saturating_sub(held),
            backends_wanted: new.iter().map(|s| backends_of(s).len() as u32).sum(),
            services: new.len() as u32,
        }
    }

    /// Finds a place for a new service.
    fn allot(&self, service: &Service, taken: &mut Taken) -> Result<(u32, Row), StartError> {
        let full = |what: String| {
            StartError::Refused(format!(
                "service \"{}\": there is no room: {what}",
                service.name
            ))
        };
        let index = (0..MAX_SERVICES)
            .find(|index| !taken.services.contains(index))
            .ok_or_else(|| full(format!("{MAX_SERVICES} services are the most")))?;
        let first_slot = first_free(&taken.slots, service.slots, self.slots).ok_or_else(|| {
            full(format!(
                "its {} slots do not fit into the {} of daemon.max_slots beside those of other services",
                service.slots, self.slots
            ))
        })?;
        let count = backends_of(service).len() as u32;
        let spare = spare(
            count,
            self.backends_free,
            self.backends_wanted,
            self.services,
        );
        let backend_count = (count + spare).min(u32::from(u16::MAX));
        let first_backend =
            first_free(&taken.backends, backend_count, MAX_BACKENDS).ok_or_else(|| {
                full(format!(
                    "{MAX_BACKENDS} backends of all services are the most"
                ))
            })?;
        let row = Row {
            vip: to_abi(service.vip),
            port: service.ports.first(),
            protocol: protocol_number(service.protocol),
            first_slot,
            slot_mask: service.slots - 1,
            first_backend,
            backend_count,
            mode: service.mode as u8,
            affinity: service.affinity as u8,
            client_prefix: prefix_of(service),
            in_use: 1,
            index: index as u16,
            ..Row::default()
        };
        taken.add(index, &row);
        Ok((index, row))
    }
}

/// Says what left the configuration.
pub(super) fn tell_removed(removed: &Removed) {
    tracing::warn!(
        service = key_name(&key_of_row(&removed.row)),
        "no longer in the file: packets to it pass to the stack of this host"
    );
}
