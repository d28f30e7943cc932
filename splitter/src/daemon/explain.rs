//! Where a flow goes and why, asked of the very rules of the packet path; and the listing of flow records.

use std::net::IpAddr;

use splitter_common::abi::{Backend, Service as Row, Settings, SlotState, SlotWord, Stamp, Stamps};
use splitter_common::datapath::flow_table::{Kind, Record, tick, ticks_to_ns};
use splitter_common::datapath::parse::Headers;
use splitter_common::datapath::tables::{FlowCells, SlotTables, StampCells};
use splitter_common::datapath::transition::{Peek, peek};
use splitter_common::hash;

use super::census::{Tally, each_live};
use super::change::failed;
use super::clock::Now;
use super::core::Core;
use super::live::Live;
use crate::api::RequestError;
use crate::api::types::{BackendRef, Caller, ExplainView, FlowList, RecordView, RouteRef};
use crate::dataplane::Dataplane;
use crate::model::{Affinity, Flows, Service};
use crate::net::to_abi;

/// The maps as steering's tables, for questions: what would be written is not.
struct ReadOnly<'a, D> {
    dataplane: &'a D,
    settings: Settings,
    row: Row,
    backends: Vec<Backend>,
    now_ns: u64,
}

struct StampCopy(Stamps);

impl StampCells for StampCopy {
    fn load(&self, stamp: Stamp) -> u64 {
        match stamp {
            Stamp::Unlogged => self.0.unlogged,
            Stamp::BareSyn => self.0.bare_syn,
            Stamp::Foreign => self.0.foreign,
        }
    }

    fn store(&self, _: Stamp, _: u64) {}
}

struct SetView<'a, D> {
    dataplane: &'a D,
    index: u32,
}

impl<D: Dataplane> FlowCells for SetView<'_, D> {
    fn load(&self, word: usize) -> u64 {
        let set = self.dataplane.flow_set(self.index);
        set.map_or(0, |set| set.words[word])
    }

    fn store(&self, _: usize, _: u64) {}

    fn compare_exchange(&self, word: usize, _: u64, _: u64) -> u64 {
        self.load(word)
    }
}

impl<'a, D: Dataplane> SlotTables for ReadOnly<'a, D> {
    type Stamps = StampCopy;
    type FlowSet = SetView<'a, D>;

    fn now(&self) -> u64 {
        self.now_ns
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }

    fn slot(&self, index: u32) -> Option<SlotWord> {
        self.dataplane.slot(index).ok()
    }

    fn stamps(&self, index: u32) -> Option<StampCopy> {
        self.dataplane.stamps(index).ok().map(StampCopy)
    }

    fn flow_set(&self, index: u32) -> Option<SetView<'a, D>> {
        Some(SetView {
            dataplane: self.dataplane,
            index,
        })
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        let local = index.checked_sub(self.row.first_backend)?;
        self.backends.get(local as usize)
    }
}

impl<D: Dataplane> Core<D> {
    /// Where a flow of a client goes.
    pub(super) fn explain(
        &self,
        name: &str,
        caller: Caller,
        now: Now,
    ) -> Result<ExplainView, RequestError> {
        let live = &self.services[self.find(name)?];
        let service = &live.service;
        let Caller {
            port, service_port, ..
        } = caller;
        let client = caller.client.to_canonical();
        if client.is_ipv4() != service.vip.is_ipv4() {
            return Err(RequestError::Invalid(format!(
                "found client {client}, expected an address of the family of VIP {}",
                service.vip
            )));
        }
        if port.is_none() && service.affinity == Affinity::Flow {
            return Err(RequestError::Invalid(format!(
                "found client {client} without a port, expected IP:PORT: service \"{name}\" has affinity \"flow\", so \
                 the port matters"
            )));
        }
        let service_port = dialled(service, port, service_port)?;
        let headers = Headers {
            ipv6: u8::from(client.is_ipv6()),
            protocol: live.row.protocol,
            source: to_abi(client),
            destination: live.row.vip,
            source_port: port.unwrap_or(0),
            destination_port: service_port,
            ..Headers::default()
        };
        let settings = self.dataplane.settings().map_err(failed)?;
        let flow_hash = hash::flow_hash(&settings.hash_key, &headers);
        let slot = hash::slot(&settings.hash_key, &live.row, &headers, flow_hash);
        let (row, _) = live.governing(client);
        let slot = slot - live.row.first_slot + row;
        let backends = (0..live.row.backend_count)
            .map(|number| self.dataplane.backend(live.row.first_backend + number))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let tables = ReadOnly {
            dataplane: &self.dataplane,
            settings,
            row: live.row,
            backends,
            now_ns: now.ns,
        };
        let mut peeked = peek(&tables, &live.row, flow_hash, slot)
            .map_err(|counter| failed(format!("{}: {}", counter.name(), counter.help())))?;
        if port.is_none() {
            // Records are of whole 5-tuples.
            (peeked.confirmed, peeked.pending) = (None, None);
        }
        let caller = Caller {
            client,
            port,
            service_port: Some(service_port),
        };
        self.explained(live, caller, slot - row, &peeked)
    }

    fn explained(
        &self,
        live: &Live,
        caller: Caller,
        slot: u32,
        peeked: &Peek,
    ) -> Result<ExplainView, RequestError> {
        let word = peeked.word;
        let record = |record: &Record| self.record_view(live, record, peeked.now);
        let established = peeked
            .established
            .map_err(|counter| failed(format!("{}: {}", counter.name(), counter.help())))?;
        Ok(ExplainView {
            service: live.service.name.clone(),
            client: caller.client,
            port: caller.port,
            service_port: caller.service_port.unwrap_or(live.row.port),
            slot,
            route: live.governing(caller.client).1.map(|route| RouteRef {
                clients: route.clients.to_string(),
                version: route
                    .version
                    .map(|at| live.service.versions[at].name.clone()),
            }),
            state: state_name(word.state()).to_owned(),
            base: self.backend_ref(live, word.base())?,
            current: self.backend_ref(live, word.current())?,
            record: peeked.confirmed.as_ref().map(record).transpose()?,
            pending: peeked.pending.as_ref().map(record).transpose()?,
            established: self.backend_ref(live, established)?,
            new_flow: peeked
                .new_flow
                .ok()
                .map(|number| self.backend_ref(live, number))
                .transpose()?,
            because: self.because(live, caller.client, slot, peeked)?,
        })
    }

    fn because(
        &self,
        live: &Live,
        client: IpAddr,
        slot: u32,
        peeked: &Peek,
    ) -> Result<Vec<String>, RequestError> {
        let word = peeked.word;
        let named = |number| self.backend_ref(live, number).map(|backend| name(&backend));
        let hashed = match live.service.affinity {
            Affinity::Flow => "the 5-tuple".to_owned(),
            Affinity::Client => match live.service.client_prefix {
                None => "the client's address".to_owned(),
                Some(bits) => format!("the first {bits} bits of the client's address"),
            },
        };
        let mut because = vec![format!("the keyed hash of {hashed} names slot {slot}")];
        because.extend(routed(live, client));
        let (base, current) = (named(word.base())?, named(word.current())?);
        because.push(match word.state() {
            SlotState::Steady => format!("the slot is at rest: all its flows go to {base}"),
            SlotState::Track if live.service.flows == Flows::Track => format!(
                "the slot is in transition (track): flows without a record belong to {base} and are learned; new ones \
                 follow to {current} when all are known"
            ),
            SlotState::Track => format!(
                "the slot is in transition (track): new flows go to {current} and get a record, flows without one \
                 belong to {base}"
            ),
            SlotState::Handover => format!(
                "the slot is being handed over from {base} to {current}: a new flow goes to {current}, and for a \
                 moment nothing is learned"
            ),
            SlotState::Residue => format!(
                "the slot is {base}'s; records of flows to other backends still live and are followed"
            ),
        });
        if word.state() == SlotState::Steady {
            return Ok(because);
        }
        let local =
            |record: &Record| u32::from(record.backend).wrapping_sub(live.row.first_backend);
        if let Some(record) = &peeked.confirmed {
            let backend = named(local(record) as u16)?;
            because.push(format!("a record says that this flow is {backend}'s"));
        } else {
            because.push(format!("the flow has no record, so it is {base}'s"));
        }
        if let Some(record) = &peeked.pending {
            let backend = named(local(record) as u16)?;
            because.push(format!(
                "a SYN of this 5-tuple went to {backend}; copies of it, and the packet that answers, follow"
            ));
        }
        let (packet, reason) = if live.service.flows == Flows::Track {
            (
                "datagram of a flow without a record",
                "not all flows of the slot are known yet",
            )
        } else {
            (
                "SYN",
                "copies of a SYN, or handshakes, of before the change may be under way, or the 5-tuple is still in use",
            )
        };
        match peeked.new_flow {
            Err(counter) => because.push(format!(
                "a new {packet} would be dropped now ({}); the client sends it again",
                counter.name()
            )),
            Ok(number) if number != word.current() => because.push(format!(
                "a new {packet} goes to {} and not to {current}: {reason}",
                named(number)?
            )),
            Ok(_) => {}
        }
        Ok(because)
    }

    fn record_view(
        &self,
        live: &Live,
        record: &Record,
        now_ns: u64,
    ) -> Result<RecordView, RequestError> {
        let number = u32::from(record.backend).wrapping_sub(live.row.first_backend);
        let now = tick(now_ns);
        let idle_ns = if record.kind == Kind::Pending {
            // A pending record keeps the sequence number where others keep their last sighting.
            live.row
                .pending_ns
                .saturating_sub(ticks_to_ns(now, record.deadline))
        } else {
            ticks_to_ns(record.low, now)
        };
        Ok(RecordView {
            state: match record.kind {
                Kind::Pending => "pending",
                Kind::Learned => "learned",
                Kind::Confirmed => "confirmed",
            }
            .to_owned(),
            closing: record.closing,
            backend: self.backend_ref(live, number as u16)?,
            // The record keeps the low bits of the flow hash, which name the slot where the 5-tuple is what is hashed.
            slot: (live.service.affinity == Affinity::Flow)
                .then_some(record.tag as u32 & live.row.slot_mask),
            idle_seconds: idle_ns as f64 / 1e9,
        })
    }

    /// Flow records of a service.
    pub(super) fn flows(
        &self,
        name: &str,
        limit: usize,
        now: Now,
    ) -> Result<FlowList, RequestError> {
        let live = &self.services[self.find(name)?];
        let mut tally = Tally::default();
        let mut listed = Vec::new();
        each_live(&self.dataplane, now.ns, |record| {
            let number = u32::from(record.backend).wrapping_sub(live.row.first_backend);
            let counts =
                number < live.row.backend_count && live.numbers.get(number as u16).is_alive();
            if counts {
                tally.add(record.kind);
                if listed.len() < limit {
                    listed.push(*record);
                }
            }
        })
        .map_err(failed)?;
        Ok(FlowList {
            service: name.to_owned(),
            total: tally.total(),
            pending: tally.pending,
            learned: tally.learned,
            confirmed: tally.confirmed,
            records: listed
                .iter()
                .map(|record| self.record_view(live, record, now.ns))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Which route the client has; nothing where the service has none.
fn routed(live: &Live, client: IpAddr) -> Option<String> {
    if live.routes.is_empty() {
        return None;
    }
    let Some(route) = live.governing(client).1 else {
        return Some(format!("no route has {client}: the weights hold"));
    };
    let clients = route.clients;
    Some(match route.version {
        Some(version) => format!(
            "the route of {clients} gives its clients to {}: the slot is one of a row of its own",
            live.service.versions[version].name
        ),
        None => format!(
            "the route of {clients} leaves: its row follows what holds without it, and goes when both are at rest"
        ),
    })
}

/// The port that the client dials. It tells flows apart, so where there are several it must be said, unless only the
/// client's address is looked at.
fn dialled(service: &Service, port: Option<u16>, wanted: Option<u16>) -> Result<u16, RequestError> {
    let (name, ports) = (&service.name, &service.ports);
    match wanted {
        Some(wanted) if ports.contains(wanted) => Ok(wanted),
        Some(wanted) => Err(RequestError::Invalid(format!(
            "found port {wanted}, expected one of service \"{name}\": {ports}"
        ))),
        None if port.is_none() || ports.count() == 1 => Ok(ports.first()),
        None => Err(RequestError::Invalid(format!(
            "found no port of the service, expected one of {ports}: service \"{name}\" has several, so it matters which \
             one the client dials (--port)"
        ))),
    }
}

const fn state_name(state: SlotState) -> &'static str {
    match state {
        SlotState::Steady => "steady",
        SlotState::Track => "track",
        SlotState::Handover => "handover",
        SlotState::Residue => "residue",
    }
}

fn name(backend: &BackendRef) -> String {
    let address = match backend.port {
        0 => backend.address.to_string(),
        port => std::net::SocketAddr::new(backend.address, port).to_string(),
    };
    match &backend.version {
        Some(version) => format!("{version}'s {address}"),
        None => format!("{address} (no longer configured)"),
    }
}
