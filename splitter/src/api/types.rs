//! Wire types of the API (JSON over HTTP on a Unix socket). Times are RFC 3339; durations are seconds.

use serde::{Deserialize, Serialize};

/// `GET /v1/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceList {
    /// The services, in the order of the configuration.
    pub services: Vec<ServiceView>,
}

/// `GET /v1/services/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Name.
    pub name: String,
    /// VIP.
    pub vip: std::net::IpAddr,
    /// Port; the lowest where there are several.
    pub port: u16,
    /// All ports, as short as they can be written: `80,443,8000-8099`.
    pub ports: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// `dsr` or `nat`.
    pub mode: String,
    /// `flow` or `client`.
    pub affinity: String,
    /// Number of slots.
    pub slots: u32,
    /// The version that owns the service at rest.
    pub stable: String,
    /// The versions, with their backends.
    pub versions: Vec<VersionView>,
    /// The transition under way, if any; of all its rows of slots.
    pub transition: Option<TransitionView>,
    /// Its routes, by prefix.
    pub routes: Vec<RouteView>,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    /// Name.
    pub name: String,
    /// Set share of new flows, percent with two decimals.
    pub set_percent: f64,
    /// Measured share of completed handshakes since the weights were last changed, percent; none without samples.
    pub measured_percent: Option<f64>,
    /// How many handshakes that share is made of (this version's).
    pub samples: u64,
    /// Slots whose `current` is a backend of this version.
    pub slots: u32,
    /// Live flow records that name a backend of this version.
    pub flow_records: u64,
    /// Its backends.
    pub backends: Vec<BackendView>,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendView {
    /// Address.
    pub address: std::net::IpAddr,
    /// Port; 0 where it is the one that the client dialled, of several.
    pub port: u16,
    /// Weight within the version.
    pub weight: u32,
    /// Number in slot words and flow records.
    pub number: u16,
    /// `resolved`, `unresolved`, `local`, or `leaving` for one that is no longer configured but still named.
    pub next_hop: String,
    /// Slots whose `current` it is, not counting those of routes.
    pub slots: u32,
    /// Slots whose `base` it is, those of routes too.
    pub base_slots: u32,
    /// Live flow records that name it.
    pub flow_records: u64,
    /// Packets sent to it.
    pub packets: u64,
    /// Bytes sent to it.
    pub bytes: u64,
    /// SYNs sent to it, retransmitted ones included.
    pub syns: u64,
    /// Handshakes seen to complete.
    pub handshakes: u64,
}

/// A transition under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionView {
    /// When the first slot now in transition left rest (RFC 3339).
    pub began: jiff::Timestamp,
    /// Slots not at rest, by state.
    pub track: u32,
    /// See `track`.
    pub handover: u32,
    /// See `track`.
    pub residue: u32,
    /// Live flow records of the service.
    pub flow_records: u64,
    /// Seconds until all slots are at rest again if nothing more holds them; none: not to be foretold.
    pub settles_in_seconds: Option<f64>,
    /// What holds it, in words: untracked packets, records of other backends.
    pub held_by: Option<String>,
}

/// `PUT /v1/services/{name}/weights`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWeights {
    /// Version → percent with at most two decimals; versions left out get 0.
    #[serde(deserialize_with = "unique_keys")]
    pub weights: std::collections::BTreeMap<String, f64>,
    /// New flows follow at once, instead of after `prepare`.
    #[serde(default)]
    pub now: bool,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to a change: what it does (or would do).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeView {
    /// The service.
    pub service: String,
    /// Weights before, percent by version.
    pub before: std::collections::BTreeMap<String, f64>,
    /// Weights after.
    pub after: std::collections::BTreeMap<String, f64>,
    /// Slots whose `current` changes.
    pub slots_moved: u32,
    /// Of how many.
    pub slots: u32,
    /// Established flows that move: always 0.
    pub established_flows_moved: u64,
    /// Seconds until new flows follow.
    pub holds_in_seconds: f64,
    /// Whether it was only computed.
    pub dry_run: bool,
}

/// `GET /v1/services/{name}/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteList {
    /// Service.
    pub service: String,
    /// Its routes, by prefix.
    pub routes: Vec<RouteView>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// Prefix of the clients, in CIDR notation. Of several that have a client, the longest counts.
    pub clients: String,
    /// The version that they get; none: the route leaves.
    pub version: Option<String>,
    /// `moving` (new flows follow, old ones end where they are), `settled`, `leaving`, or `waiting` for room for its row.
    pub state: String,
    /// `file` or `command`.
    pub origin: String,
    /// When it leaves by itself.
    pub expires: Option<jiff::Timestamp>,
    /// Slots of its row that are not at rest.
    pub slots_in_transition: u32,
}

/// `POST /v1/services/{name}/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRoute {
    /// Prefixes in CIDR notation.
    pub clients: Vec<String>,
    /// The version that their new flows go to.
    pub version: String,
    /// After how long the routes leave by themselves; none: never.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
    /// New flows follow at once, instead of after `prepare`.
    #[serde(default)]
    pub now: bool,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// `DELETE /v1/services/{name}/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveRoute {
    /// Prefixes of the routes, in CIDR notation.
    pub clients: Vec<String>,
    /// New flows follow at once, instead of after `prepare`.
    #[serde(default)]
    pub now: bool,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to a change of routes: what it does (or would do).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The service.
    pub service: String,
    /// Prefixes of the routes.
    pub clients: Vec<String>,
    /// The version that they get; none: they are removed.
    pub version: Option<String>,
    /// When they leave by themselves.
    pub expires: Option<jiff::Timestamp>,
    /// Slots that new flows of these clients leave.
    pub slots_moved: u32,
    /// Of how many that govern these clients.
    pub slots: u32,
    /// Established flows that move: always 0.
    pub established_flows_moved: u64,
    /// Seconds until new flows follow.
    pub holds_in_seconds: f64,
    /// Whether it was only computed.
    pub dry_run: bool,
}

/// Names a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRef {
    /// Prefix of its clients.
    pub clients: String,
    /// Their version; none: the route leaves.
    pub version: Option<String>,
}

/// `GET /v1/services/{name}/explain?client=IP[&port=N][&service_port=N]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainView {
    /// Service.
    pub service: String,
    /// The client's address.
    pub client: std::net::IpAddr,
    /// The client's port; none where affinity makes it irrelevant or it was not given.
    pub port: Option<u16>,
    /// The port of the service that it dials.
    pub service_port: u16,
    /// The route that the client has, if any.
    pub route: Option<RouteRef>,
    /// Slot number within the service, or within the row of the route.
    pub slot: u32,
    /// State of the slot: `steady`, `track`, `handover` or `residue`.
    pub state: String,
    /// Owner of flows without a record.
    pub base: BackendRef,
    /// Owner of new flows.
    pub current: BackendRef,
    /// The live confirmed record of that flow, if any.
    pub record: Option<RecordView>,
    /// The live pending record of that flow, if any.
    pub pending: Option<RecordView>,
    /// Where a packet of an established flow with that 5-tuple goes.
    pub established: BackendRef,
    /// Where a new connection (a SYN with a fresh sequence number) goes; none: the SYN would be dropped.
    pub new_flow: Option<BackendRef>,
    /// Why, in sentences.
    pub because: Vec<String>,
}

/// Whose flow is asked about: the query of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The client's address.
    pub client: std::net::IpAddr,
    /// The client's port.
    pub port: Option<u16>,
    /// The port of the service that it dials; may be left out where there is one.
    pub service_port: Option<u16>,
}

/// Names a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendRef {
    /// Version; none for a backend that is no longer configured.
    pub version: Option<String>,
    /// Address.
    pub address: std::net::IpAddr,
    /// Port; 0 where it is the one that the client dialled, of several.
    pub port: u16,
    /// Number in slot words.
    pub number: u16,
}

/// A flow record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordView {
    /// `pending`, `learned` or `confirmed`.
    pub state: String,
    /// Whether it is closing (FIN or RST seen).
    pub closing: bool,
    /// Its backend.
    pub backend: BackendRef,
    /// Slot number within the service.
    pub slot: Option<u32>,
    /// Seconds since it was last refreshed.
    pub idle_seconds: f64,
}

/// `GET /v1/services/{name}/flows`: flow records; a record does not hold addresses, only the keyed hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowList {
    /// Service.
    pub service: String,
    /// Live records, of which at most `limit` are listed.
    pub total: u64,
    /// Of those: pending.
    pub pending: u64,
    /// Of those: learned once.
    pub learned: u64,
    /// Of those: confirmed.
    pub confirmed: u64,
    /// The listed ones.
    pub records: Vec<RecordView>,
}

/// `GET /v1/stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatsView {
    /// Every counter of the packet path.
    pub counters: Vec<CounterView>,
    /// Packets seen: the sum of the counters.
    pub packets: u64,
    /// Flow records that the table has room for.
    pub flow_record_room: u64,
    /// Live flow records.
    pub flow_records: u64,
    /// Reverse records that their table has room for.
    pub reverse_record_room: u64,
    /// Live reverse records: of flows to backends that several services share.
    pub reverse_records: u64,
    /// Slots not at rest, all services.
    pub slots_in_transition: u32,
    /// Daemon's process id, version and start.
    pub daemon: DaemonView,
}

/// A counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterView {
    /// Name.
    pub name: String,
    /// `pass`, `drop` or `forward`.
    pub verdict: String,
    /// Packets.
    pub packets: u64,
    /// What it means.
    pub help: String,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonView {
    /// Process id.
    pub pid: u32,
    /// Version of the binary.
    pub version: String,
    /// When it started.
    pub started: jiff::Timestamp,
    /// Interfaces that carry the program, with the mode in force.
    pub interfaces: Vec<InterfaceView>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// Name.
    pub name: String,
    /// Index.
    pub index: u32,
    /// `native` or `skb`.
    pub xdp_mode: String,
    /// Kernel's id of the XDP program.
    pub program_id: u32,
    /// Kernel's id of the link.
    pub link_id: u32,
}

/// An error, with HTTP status 400 (bad request), 404 (no such thing), 409 (refused as things stand) or 500.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// What is wrong, what was found, what was expected.
    pub error: String,
}

/// A map in which a key may stand once only: of two weights for one version neither is the one that was meant.
fn unique_keys<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<String, f64>, D::Error> {
    struct Unique;

    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = std::collections::BTreeMap<String, f64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of versions to percent")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut entries: A,
        ) -> Result<Self::Value, A::Error> {
            let mut map = Self::Value::new();
            while let Some((version, percent)) = entries.next_entry::<String, f64>()? {
                if map.contains_key(&version) {
                    return Err(serde::de::Error::custom(format_args!(
                        "version `{version}` is named twice"
                    )));
                }
                map.insert(version, percent);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique)
}
