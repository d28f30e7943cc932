//! The fixed answers.

use std::net::IpAddr;

use splitter::api::types::{
    AddRoute, BackendRef, BackendView, ChangeView, CounterView, DaemonView, ExplainView, FlowList,
    InterfaceView, RecordView, RemoveRoute, RouteChange, RouteList, RouteRef, RouteView,
    ServiceList, ServiceView, SetWeights, StatsView, TransitionView, VersionView,
};
use splitter_common::abi::{Counter, Verdict};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn backend(address: &str, number: u16, next_hop: &str, scale: u64) -> BackendView {
    BackendView {
        address: ip(address),
        port: 8080,
        weight: u32::from(number) + 1,
        number,
        next_hop: next_hop.into(),
        slots: 819 * u32::from(number + 1),
        base_slots: 4096,
        flow_records: scale / 1000,
        packets: scale * 12,
        bytes: scale * 9876,
        syns: scale + 3,
        handshakes: scale,
    }
}

/// A service in the middle of a ramp.
pub(super) fn web() -> ServiceView {
    ServiceView {
        name: "web".into(),
        vip: ip("203.0.113.10"),
        port: 443,
        ports: "443".into(),
        protocol: "tcp".into(),
        mode: "nat".into(),
        affinity: "client".into(),
        slots: 16_384,
        stable: "blue".into(),
        versions: vec![
            VersionView {
                name: "blue".into(),
                set_percent: 87.5,
                measured_percent: Some(87.391),
                samples: 1_234_567,
                slots: 14_336,
                flow_records: 1_234,
                backends: vec![
                    backend("10.0.0.11", 0, "resolved", 1_000_000),
                    backend("10.0.0.12", 1, "local", 234_567),
                ],
            },
            VersionView {
                name: "green".into(),
                set_percent: 12.5,
                measured_percent: None,
                samples: 0,
                slots: 2_048,
                flow_records: 0,
                backends: vec![backend("10.0.1.11", 2, "unresolved", 0)],
            },
        ],
        routes: routes("web").routes,
        transition: Some(TransitionView {
            began: "2026-11-30T22:50:01Z".parse().expect("a time"),
            track: 1_500,
            handover: 12,
            residue: 536,
            flow_records: 1_234,
            settles_in_seconds: Some(598.4),
            held_by: Some("1,512 slots wait until flows without a record were silent for 300 s (last packet, or begin of the transition, 12 s ago); 536 slots wait until flow records of other backends ended or were silent for 300 s (last packet, or hand-over, 1 s ago)".into()),
        }),
    }
}

/// A service at rest, IPv6.
pub(super) fn dns() -> ServiceView {
    ServiceView {
        name: "dns".into(),
        vip: ip("2001:db8::53"),
        port: 53,
        ports: "53,5300-5310".into(),
        protocol: "udp".into(),
        mode: "dsr".into(),
        affinity: "flow".into(),
        slots: 1,
        stable: "v1".into(),
        versions: vec![VersionView {
            name: "v1".into(),
            set_percent: 100.0,
            measured_percent: Some(100.0),
            samples: 7,
            slots: 1,
            flow_records: 0,
            backends: vec![backend("2001:db8:1::11", 0, "resolved", 7)],
        }],
        routes: Vec::new(),
        transition: None,
    }
}

pub(super) fn services() -> ServiceList {
    ServiceList {
        services: vec![web(), dns()],
    }
}

/// What a change does: some slots move, unless it asks for what is so already.
pub(super) fn change(service: &str, set: &SetWeights) -> ChangeView {
    let before = [("blue".to_owned(), 87.5), ("green".to_owned(), 12.5)];
    let before = std::collections::BTreeMap::from(before);
    let mut after: std::collections::BTreeMap<_, _> = before
        .keys()
        .map(|version| (version.clone(), 0.0))
        .collect();
    after.extend(set.weights.clone());
    ChangeView {
        service: service.into(),
        slots_moved: if before == after { 0 } else { 2_048 },
        before,
        after,
        slots: 16_384,
        established_flows_moved: 0,
        holds_in_seconds: if set.now { 0.0 } else { 3.0 },
        dry_run: set.dry_run,
    }
}

/// One route for each state that there is.
pub(super) fn routes(service: &str) -> RouteList {
    let route = |clients: &str, version: Option<&str>, state: &str| RouteView {
        clients: clients.into(),
        version: version.map(Into::into),
        state: state.into(),
        origin: if state == "settled" {
            "file"
        } else {
            "command"
        }
        .into(),
        expires: version.and_then(|_| "2030-01-02T03:04:05Z".parse().ok()),
        slots_in_transition: if state == "settled" { 0 } else { 16_384 },
    };
    let routes = [
        route("10.8.0.0/16", Some("green"), "settled"),
        route("10.8.1.0/24", Some("blue"), "moving"),
        route("10.9.0.0/16", None, "leaving"),
    ];
    RouteList {
        service: service.into(),
        routes: if service == "web" {
            routes.into()
        } else {
            Vec::new()
        },
    }
}

/// What adding routes does.
pub(super) fn routed(service: &str, route: &AddRoute) -> RouteChange {
    RouteChange {
        service: service.into(),
        clients: route.clients.clone(),
        version: Some(route.version.clone()),
        expires: route
            .ttl_seconds
            .and_then(|_| "2030-01-02T03:04:05Z".parse().ok()),
        slots_moved: 16_384,
        slots: 16_384,
        established_flows_moved: 0,
        holds_in_seconds: if route.now { 0.0 } else { 3.0 },
        dry_run: route.dry_run,
    }
}

/// What removing routes does: of those in the default row's hands already, nothing.
pub(super) fn unrouted(service: &str, route: &RemoveRoute) -> RouteChange {
    RouteChange {
        service: service.into(),
        clients: route.clients.clone(),
        version: None,
        expires: None,
        slots_moved: 0,
        slots: 16_384,
        established_flows_moved: 0,
        holds_in_seconds: if route.now { 0.0 } else { 3.0 },
        dry_run: route.dry_run,
    }
}

fn blue() -> BackendRef {
    BackendRef {
        version: Some("blue".into()),
        address: ip("10.0.0.11"),
        port: 8080,
        number: 0,
    }
}

fn green() -> BackendRef {
    BackendRef {
        version: Some("green".into()),
        address: ip("10.0.1.11"),
        port: 8080,
        number: 2,
    }
}

fn removed() -> BackendRef {
    BackendRef {
        version: None,
        address: ip("2001:db8::9"),
        port: 80,
        number: 3,
    }
}

/// With a port: a flow with records; without: a slot in hand-over.
pub(super) fn explain(service: &str, client: IpAddr, port: Option<u16>) -> ExplainView {
    let record = |state: &str, closing, backend, idle_seconds| RecordView {
        state: state.into(),
        closing,
        backend,
        slot: Some(1_234),
        idle_seconds,
    };
    ExplainView {
        service: service.into(),
        client,
        port,
        service_port: 443,
        route: port.map(|_| RouteRef {
            clients: "10.8.0.0/16".into(),
            version: Some("green".into()),
        }),
        slot: 1_234,
        state: if port.is_some() { "track" } else { "handover" }.into(),
        base: blue(),
        current: green(),
        record: port.map(|_| record("confirmed", true, blue(), 1.25)),
        pending: port.map(|_| record("pending", false, green(), 0.5)),
        established: blue(),
        new_flow: port.map(|_| green()),
        because: vec![
            "the slot is in transition (track): new flows go to green 10.0.1.11:8080 and get a record, flows without one belong to blue 10.0.0.11:8080".into(),
            "a record says that this flow is blue 10.0.0.11:8080's".into(),
        ],
    }
}

pub(super) fn flows(service: &str, limit: usize) -> FlowList {
    if service == "dns" {
        return FlowList {
            service: service.into(),
            total: 0,
            pending: 0,
            learned: 0,
            confirmed: 0,
            records: Vec::new(),
        };
    }
    let record = |state: &str, closing, backend, slot, idle_seconds| RecordView {
        state: state.into(),
        closing,
        backend,
        slot,
        idle_seconds,
    };
    let records = [
        record("confirmed", false, blue(), Some(7), 0.2),
        record("confirmed", true, removed(), Some(12_345), 125.0),
        record("learned", false, blue(), None, 31.0),
        record("pending", false, green(), Some(16_383), 0.04),
    ];
    FlowList {
        service: service.into(),
        total: 1_234,
        pending: 1,
        learned: 233,
        confirmed: 1_000,
        records: records.into_iter().take(limit).collect(),
    }
}

pub(super) fn stats() -> StatsView {
    let counter = |counter: Counter, packets| CounterView {
        name: counter.name().into(),
        verdict: match counter.verdict() {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
            Verdict::Transmit | Verdict::Redirect => "forward",
        }
        .into(),
        packets,
        help: counter.help().into(),
    };
    StatsView {
        counters: vec![
            counter(Counter::PassNotIp, 0),
            counter(Counter::ForwardNat, 12_345_678),
            counter(Counter::DropHandover, 9),
            counter(Counter::DropInternal, 0),
        ],
        packets: 12_345_687,
        reverse_record_room: 1_048_576,
        reverse_records: 12,
        flow_record_room: 1_048_576,
        flow_records: 1_234,
        slots_in_transition: 2_048,
        daemon: DaemonView {
            pid: 4711,
            version: "0.1.0".into(),
            started: "2026-11-30T20:00:00Z".parse().expect("a time"),
            interfaces: vec![InterfaceView {
                name: "eth0".into(),
                index: 2,
                xdp_mode: "native".into(),
                program_id: 31,
                link_id: 5,
            }],
        },
    }
}
