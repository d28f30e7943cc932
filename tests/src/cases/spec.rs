//! What a case file says, and the instances of a case: one for each family, protocol and mode that it names.

use super::cast::Family;
use super::nat::{Call, ReverseRecord};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Table;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// Transport protocol of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Mode of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// `dsr`.
    Dsr,
    /// `nat` to backends behind this host.
    Nat,
    /// `nat` to backends on this host.
    Local,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// At XDP, on ingress.
    #[default]
    Xdp,
    /// At TC, on egress.
    Egress,
}

/// A named case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name: one sentence.
    pub name: String,
    /// Families it runs in.
    #[serde(default = "families")]
    pub families: Vec<Family>,
    /// Protocols it runs with.
    #[serde(default = "protocols")]
    pub protocols: Vec<Protocol>,
    /// How the service's flows of UDP are known: `hash` (the default) or `track`.
    pub flows: Option<String>,
    /// Modes it runs in.
    #[serde(default = "ways")]
    pub modes: Vec<Way>,
    /// Where the program runs.
    #[serde(default)]
    pub hook: Hook,
    /// The word and stamps of every slot of the service.
    #[serde(default)]
    pub slot: Slot,
    /// Whether echo requests to the VIP are answered.
    #[serde(default)]
    pub icmp_echo: bool,
    /// Ports of the service beside 80; backends then keep the port that was dialled.
    #[serde(default)]
    pub more_ports: Vec<u16>,
    /// Leading bits of the client's address that alone name its slot (`affinity = "client"`; 0: all of them). The slots
    /// are then at rest on one backend each, in turn.
    pub client_prefix: Option<u8>,
    /// Routes of the service, each with a row of its own.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Records in the flow table before the packet.
    #[serde(default)]
    pub records: Vec<Record>,
    /// Whether a second service, on `quiet:80`, shares the backends of the first, whose the replies without a record are.
    #[serde(default)]
    pub shared: bool,
    /// Whether there is a hairpin source, `hairpin`.
    #[serde(default)]
    pub hairpin: bool,
    /// Reverse records before the packet.
    #[serde(default)]
    pub reverse: Vec<ReverseRecord>,
    /// Reverse records afterwards, all of them; absent: as before.
    pub reverse_after: Option<Vec<ReverseRecord>>,
    /// Calls that come back to their link, before the packet.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// The same afterwards, all of them; absent: as before.
    pub calls_after: Option<Vec<Call>>,
    /// Backends that differ from the usual ones, by number.
    #[serde(default)]
    pub backends: BTreeMap<String, BackendChange>,
    /// Fields of the frame that comes in; see [`super::craft::Frame`].
    #[serde(default)]
    pub frame: Table,
    /// Name of the counter that counts it; none where the packet is not counted (egress).
    pub counter: Option<String>,
    /// Number of the backend it goes to: `counter` and the fields of `out` follow from the mode.
    pub goes_to: Option<u16>,
    /// Interface on which it leaves, where `goes_to` does not say it.
    pub via: Option<u32>,
    /// Fields in which the frame that comes out differs from the one that came in.
    #[serde(default)]
    pub out: Table,
    /// What is noted of the first fragment of the packet's datagram.
    pub fragment: Option<Note>,
    /// What is noted afterwards; absent: as before.
    pub fragment_after: Option<Note>,
    /// Records of the packet's flow afterwards, all of them; absent: as before.
    pub records_after: Option<Vec<Record>>,
    /// The TCP or UDP checksum that the frame has on its way in (`in`) or out (`out`), by choice of its payload.
    pub balance: Option<(String, u16)>,
    /// Names of the stamps that are `now` afterwards; the others are as before.
    #[serde(default)]
    pub stamped: Vec<String>,
}

/// A slot before the packet; ages in seconds, and a stamp that is not given is 0: long ago.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// `steady`, `track`, `residue` or `handover`; absent: steady.
    pub state: Option<String>,
    /// Where a flow without a record belongs.
    #[serde(default)]
    pub base: u16,
    /// Where a new flow goes; absent: as `base`.
    pub current: Option<u16>,
    /// Age of the stamp `unlogged`.
    pub unlogged: Option<u64>,
    /// Age of the stamp `bare_syn`.
    pub bare_syn: Option<u64>,
    /// Age of the stamp `foreign`.
    pub foreign: Option<u64>,
}

/// Clients with a row of slots of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of an address (see [`super::cast`]).
    pub clients: String,
    /// How many bits of it count.
    pub bits: u32,
    /// The word and stamps of every slot of the row.
    #[serde(default)]
    pub slot: Slot,
}

/// A flow record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `pending`, `learned`, `confirmed` or `closing`.
    pub kind: String,
    /// Backend, by number.
    pub backend: u16,
    /// Seconds since it was made or refreshed.
    #[serde(default)]
    pub age: u64,
    /// Sequence number of the SYN that made it (pending).
    #[serde(default)]
    pub sequence: u32,
    /// Number of a flow other than the packet's, whose record it is; 0: the packet's own.
    #[serde(default)]
    pub stranger: u64,
}

/// Where a first fragment went.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// `stack`, `backend` or `reply`.
    pub way: String,
    /// The backend, by number.
    #[serde(default)]
    pub backend: u16,
    /// Where its data ends, in units of 8 bytes; absent: 8, afterwards anywhere.
    pub end: Option<u32>,
    /// Seconds since it was seen.
    #[serde(default)]
    pub age: u64,
}

/// What is unusual about a backend.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendChange {
    /// Whether it is alive.
    pub alive: Option<bool>,
    /// Index of its interface.
    pub interface: Option<u32>,
    /// Port in `nat` mode.
    pub port: Option<u16>,
    /// MTU of its interface.
    pub mtu: Option<u16>,
}

/// A case in one family, with one protocol, in one mode.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The case.
    pub case: Case,
    /// The family.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// The mode.
    pub way: Way,
}

impl Instance {
    /// Name of the case and what makes this instance of it.
    pub fn name(&self) -> String {
        format!(
            "{} [{:?} {:?} {:?}]",
            self.case.name, self.family, self.protocol, self.way
        )
    }
}

fn families() -> Vec<Family> {
    vec![Family::V4, Family::V6]
}

fn protocols() -> Vec<Protocol> {
    vec![Protocol::Tcp, Protocol::Udp]
}

fn ways() -> Vec<Way> {
    vec![Way::Dsr, Way::Nat, Way::Local]
}

/// All instances of all cases in the files of a folder, by name of file and order in it.
pub fn load(folder: &Path) -> Result<Vec<Instance>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let mut instances = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
        for case in file.case {
            for &family in &case.families {
                for &protocol in &case.protocols {
                    for &way in &case.modes {
                        instances.push(Instance {
                            case: case.clone(),
                            family,
                            protocol,
                            way,
                        });
                    }
                }
            }
        }
    }
    Ok(instances)
}
