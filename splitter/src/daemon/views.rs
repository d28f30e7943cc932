//! What users are shown, read back from the maps.

use splitter_common::abi::{Backend as Row, Counter, SlotState, Traffic, Verdict};

use super::census::Census;
use super::change::failed;
use super::clock::Now;
use super::core::{Core, ROUND_NS};
use super::identity::{BackendId, protocol_name};
use super::live::{Live, SlotCounts};
use super::numbers::Number;
use crate::api::RequestError;
use crate::api::types::{
    BackendRef, BackendView, CounterView, DaemonView, InterfaceView, ServiceList, ServiceView,
    StatsView, TransitionView, VersionView,
};
use crate::dataplane::Dataplane;
use crate::model::{Affinity, Mode, Version};
use crate::net::Hop;
use crate::transition::summarise;

/// How old a census may be that is shown.
const CENSUS_AGE_NS: u64 = 500_000_000;

/// Numbers of a version's backends.
pub(super) fn numbers_of(live: &Live, version: &Version) -> Vec<u16> {
    let ids = version.backends.iter().map(BackendId::of);
    ids.filter_map(|id| live.numbers.of(&id)).collect()
}

impl<D: Dataplane> Core<D> {
    /// All services.
    pub(super) fn list(&mut self, now: Now) -> Result<ServiceList, RequestError> {
        let services = (0..self.services.len())
            .map(|at| self.service_view(at, now))
            .collect::<Result<_, _>>()?;
        Ok(ServiceList { services })
    }

    /// Makes sure that a young census is there.
    fn count_records(&mut self, now_ns: u64) -> Result<(), RequestError> {
        let young = |census: &Census| now_ns.saturating_sub(census.taken_ns) <= CENSUS_AGE_NS;
        if !self.census.as_ref().is_some_and(young) {
            self.census = Some(Census::take(&self.dataplane, now_ns).map_err(failed)?);
        }
        Ok(())
    }

    /// A service.
    pub(super) fn service_view(
        &mut self,
        at: usize,
        now: Now,
    ) -> Result<ServiceView, RequestError> {
        self.count_records(now.ns)?;
        let live = &self.services[at];
        let words = live.words(&self.dataplane).map_err(failed)?;
        let counts = SlotCounts::of(&words);
        let everywhere = SlotCounts::of(&live.all_words(&self.dataplane).map_err(failed)?);
        let set = self.set_percents(at, &counts);
        let shares = self.handshakes(at)?;
        let all: u64 = shares.iter().sum();
        let service = &live.service;
        let mut versions = Vec::new();
        for (version, samples) in service.versions.iter().zip(shares) {
            let mut backends = Vec::new();
            for backend in &version.backends {
                let id = BackendId::of(backend);
                if let Some(number) = live.numbers.of(&id) {
                    backends.push(self.backend_view(
                        live,
                        number,
                        id,
                        backend.weight,
                        (&counts, &everywhere),
                    )?);
                }
            }
            versions.push(VersionView {
                name: version.name.clone(),
                set_percent: set.get(&version.name).copied().unwrap_or_default(),
                measured_percent: (all > 0).then(|| samples as f64 * 100.0 / all as f64),
                samples,
                slots: backends.iter().map(|b| b.slots).sum(),
                flow_records: backends.iter().map(|b| b.flow_records).sum(),
                backends,
            });
        }
        self.add_leaving(live, (&counts, &everywhere), &mut versions)?;
        Ok(ServiceView {
            name: service.name.clone(),
            vip: service.vip,
            port: service.ports.first(),
            ports: service.ports.to_string(),
            protocol: protocol_name(service.protocol).to_owned(),
            mode: match service.mode {
                Mode::Dsr => "dsr",
                Mode::Nat => "nat",
            }
            .to_owned(),
            affinity: match service.affinity {
                Affinity::Flow => "flow",
                Affinity::Client => "client",
            }
            .to_owned(),
            slots: live.slots(),
            stable: service.stable.clone(),
            transition: self.transition_view(live, &versions, now)?,
            routes: self.route_views(live)?,
            versions,
        })
    }

    /// Backends that left the file but are still named, in a group of their own without a name that a version has.
    fn add_leaving(
        &self,
        live: &Live,
        counts: (&SlotCounts, &SlotCounts),
        versions: &mut Vec<VersionView>,
    ) -> Result<(), RequestError> {
        let mut backends = Vec::new();
        for (number, meaning) in live.numbers.iter() {
            if let Number::Leaving(id, _) = meaning {
                let mut view = self.backend_view(live, number, id, 0, counts)?;
                "leaving".clone_into(&mut view.next_hop);
                backends.push(view);
            }
        }
        if !backends.is_empty() {
            versions.push(VersionView {
                name: "(leaving)".to_owned(),
                set_percent: 0.0,
                measured_percent: None,
                samples: 0,
                slots: backends.iter().map(|b| b.slots).sum(),
                flow_records: backends.iter().map(|b| b.flow_records).sum(),
                backends,
            });
        }
        Ok(())
    }

    fn backend_view(
        &self,
        live: &Live,
        number: u16,
        id: BackendId,
        weight: u32,
        (counts, everywhere): (&SlotCounts, &SlotCounts),
    ) -> Result<BackendView, RequestError> {
        let index = live.row.first_backend + u32::from(number);
        let row = self.dataplane.backend(index).map_err(failed)?;
        let Traffic {
            packets,
            bytes,
            syns,
            handshakes,
        } = self.dataplane.traffic(index).map_err(failed)?;
        let known = !matches!(
            self.view.hops.get(&id.ip()),
            Some(Hop::Unresolved(_)) | None
        );
        let next_hop = if row.is(Row::LOCAL) {
            "local"
        } else if row.interface != 0 && known {
            "resolved"
        } else {
            "unresolved"
        };
        let census = self.census.as_ref();
        Ok(BackendView {
            address: id.ip(),
            port: id.port_in(&live.service),
            weight,
            number,
            next_hop: next_hop.to_owned(),
            slots: counts.current(number),
            base_slots: everywhere.base(number),
            flow_records: census.map_or(0, |census| census.of(index).total()),
            packets,
            bytes,
            syns,
            handshakes,
        })
    }

    /// Completed handshakes of each version since the weights in force hold.
    fn handshakes(&self, at: usize) -> Result<Vec<u64>, RequestError> {
        let live = &self.services[at];
        let kept = self.state.services.get(&live.state_key());
        let mut shares = Vec::new();
        for version in &live.service.versions {
            let mut sum = 0;
            for id in version.backends.iter().map(BackendId::of) {
                let Some(number) = live.numbers.of(&id) else {
                    continue;
                };
                let index = live.row.first_backend + u32::from(number);
                let seen = self.dataplane.traffic(index).map_err(failed)?.handshakes;
                let before = kept.and_then(|kept| kept.baseline.get(&id.name()).copied());
                // Without one, or with fewer than then, the traffic was cleared: all of these are since.
                sum += before.and_then(|b| seen.checked_sub(b)).unwrap_or(seen);
            }
            shares.push(sum);
        }
        Ok(shares)
    }

    fn transition_view(
        &self,
        live: &Live,
        versions: &[VersionView],
        now: Now,
    ) -> Result<Option<TransitionView>, RequestError> {
        let words = live.all_words(&self.dataplane).map_err(failed)?;
        if words.iter().all(|word| word.state() == SlotState::Steady) {
            return Ok(None);
        }
        let mut stamps = Vec::new();
        for (first_slot, _) in live.all_rows() {
            stamps.extend(
                live.stamps_of(&self.dataplane, first_slot)
                    .map_err(failed)?,
            );
        }
        let summary = summarise(&words, &stamps, &live.timers(), ROUND_NS, now.ns);
        let kept = self.state.services.get(&live.state_key());
        Ok(Some(TransitionView {
            began: kept.and_then(|kept| kept.began).unwrap_or(now.wall),
            track: summary.track,
            handover: summary.handover,
            residue: summary.residue,
            flow_records: versions.iter().map(|version| version.flow_records).sum(),
            settles_in_seconds: summary.settles_in.map(|left| left.as_secs_f64()),
            held_by: summary.held_by,
        }))
    }

    /// Counters.
    pub(super) fn stats(&mut self, now: Now) -> Result<StatsView, RequestError> {
        self.count_records(now.ns)?;
        let values = self.dataplane.counters().map_err(failed)?;
        let mut moving = 0;
        for live in self.services.iter().filter(|live| live.moving) {
            let words = live.all_words(&self.dataplane).map_err(failed)?;
            moving += words
                .iter()
                .filter(|word| word.state() != SlotState::Steady)
                .count() as u32;
        }
        Ok(StatsView {
            packets: values.iter().sum(),
            counters: Counter::ALL
                .iter()
                .zip(values)
                .map(|(counter, packets)| CounterView {
                    name: counter.name().to_owned(),
                    verdict: match counter.verdict() {
                        Verdict::Pass => "pass",
                        Verdict::Drop => "drop",
                        Verdict::Transmit | Verdict::Redirect => "forward",
                    }
                    .to_owned(),
                    packets,
                    help: counter.help().to_owned(),
                })
                .collect(),
            flow_record_room: u64::from(self.dataplane.flow_sets())
                * splitter_common::abi::ENTRIES_PER_SET as u64,
            flow_records: self.census.as_ref().map_or(0, Census::total),
            reverse_record_room: u64::from(self.dataplane.reverse_sets())
                * splitter_common::abi::ENTRIES_PER_SET as u64,
            reverse_records: self.reverse_records(now.ns).map_err(failed)?,
            slots_in_transition: moving,
            daemon: DaemonView {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started: self.started.wall,
                interfaces: self
                    .attached
                    .iter()
                    .map(|attached| InterfaceView {
                        name: attached.name.clone(),
                        index: attached.index,
                        xdp_mode: if attached.native { "native" } else { "skb" }.to_owned(),
                        program_id: attached.program,
                        link_id: attached.link,
                    })
                    .collect(),
            },
        })
    }

    /// Names a backend of a service by its number.
    pub(super) fn backend_ref(&self, live: &Live, number: u16) -> Result<BackendRef, RequestError> {
        let index = live.row.first_backend + u32::from(number);
        let row = self.dataplane.backend(index).map_err(failed)?;
        let id = BackendId {
            address: row.address,
            port: row.port,
        };
        let versions = live.service.versions.iter();
        let version = versions
            .filter(|version| numbers_of(live, version).contains(&number))
            .map(|version| version.name.clone())
            .next();
        Ok(BackendRef {
            version,
            address: id.ip(),
            port: id.port_in(&live.service),
            number,
        })
    }
}
