//! Every key that there is: what the reader accepts, and what `docs/configuration.md` is made of.

use std::fmt::Write as _;

/// A table of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The document.
    Root,
    /// `[daemon]`.
    Daemon,
    /// `[[service]]`.
    Service,
    /// `[service.drain]`.
    Drain,
    /// `[[service.version]]`.
    Version,
    /// An entry of `backends`.
    Backend,
}

impl Section {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Root,
        Self::Daemon,
        Self::Service,
        Self::Drain,
        Self::Version,
        Self::Backend,
    ];

    /// How it is written.
    pub fn title(self) -> &'static str {
        match self {
            Self::Root => "The document",
            Self::Daemon => "`[daemon]`",
            Self::Service => "`[[service]]`",
            Self::Drain => "`[service.drain]`",
            Self::Version => "`[[service.version]]`",
            Self::Backend => "An entry of `backends`",
        }
    }
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table that it belongs to.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// The value where none is written.
    pub default: Unset,
    /// What may be written.
    pub values: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// What holds where a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// It must be written.
    Required,
    /// This, as TOML.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
}

use Unset::{Required, Value, Words};

const fn key(
    section: Section,
    name: &'static str,
    default: Unset,
    values: &'static str,
    help: &'static str,
) -> Key {
    Key {
        section,
        name,
        default,
        values,
        help,
    }
}

/// Every key.
pub const KEYS: &[Key] = &[
    key(
        Section::Root,
        "daemon",
        Required,
        "a table",
        "The daemon's own settings.",
    ),
    key(
        Section::Root,
        "service",
        Words("no service"),
        "an array of tables",
        "The services. Without one the daemon runs and lets everything pass.",
    ),
    key(
        Section::Daemon,
        "interfaces",
        Required,
        "at least one name, each once; 1 to 15 characters",
        "Where the XDP program goes. They must exist when the daemon starts.",
    ),
    key(
        Section::Daemon,
        "xdp_mode",
        Value("\"auto\""),
        "`auto`, `native`, `skb`",
        "How it is attached: `auto` takes native where the driver can, else generic; the others insist.",
    ),
    key(
        Section::Daemon,
        "socket",
        Value("\"/run/splitter/splitter.sock\""),
        "an absolute path of at most 107 bytes",
        "The API's Unix socket, made with mode 0660.",
    ),
    key(
        Section::Daemon,
        "state_dir",
        Value("\"/var/lib/splitter\""),
        "an absolute path",
        "Where desired state is kept: weights set by hand, the seed.",
    ),
    key(
        Section::Daemon,
        "bpffs",
        Value("\"/sys/fs/bpf/splitter\""),
        "an absolute path",
        "Folder in a BPF file system for pinned maps and links. One daemon per folder.",
    ),
    key(
        Section::Daemon,
        "max_slots",
        Value("1048576"),
        "64 to 16,777,216",
        "Slots of all services together; the maps are made for so many.",
    ),
    key(
        Section::Daemon,
        "flow_records",
        Value("1048576"),
        "a power of two from 1,024 to 67,108,864",
        "Flow records that the table has room for, 16 bytes each. Only flows of slots in transition need one.",
    ),
    key(
        Section::Daemon,
        "seed",
        Words("made at the first start and kept in `state_dir`"),
        "32 hexadecimal digits, not all zero",
        "Secret key of the flow hash and of the placement. Hosts that share traffic need the same one.",
    ),
    key(
        Section::Service,
        "name",
        Required,
        "1 to 63 letters, digits, `.`, `_`, `-`, the first a letter or digit; unique",
        "Name of the service.",
    ),
    key(
        Section::Service,
        "vip",
        Required,
        "an IPv4 or IPv6 unicast address",
        "The address that clients dial.",
    ),
    key(
        Section::Service,
        "port",
        Required,
        "1 to 65,535",
        "The port that clients dial. No other service may have the same VIP, port and protocol.",
    ),
    key(
        Section::Service,
        "protocol",
        Required,
        "`tcp`, `udp`",
        "UDP follows the slot table at once.",
    ),
    key(
        Section::Service,
        "mode",
        Required,
        "`dsr`, `nat`",
        "`dsr`: new MAC addresses only, the backend holds the VIP and is on the same link. `nat`: new destination address and port, replies come back through this host.",
    ),
    key(
        Section::Service,
        "affinity",
        Value("\"flow\""),
        "`flow`, `client`",
        "What chooses the slot: the whole 5-tuple, or the client's address alone.",
    ),
    key(
        Section::Service,
        "slots",
        Value("16384"),
        "a power of two from 64 to 65,536",
        "Size of the slot table; a weight is a number of slots. `max_slots` bounds the sum over all services.",
    ),
    key(
        Section::Service,
        "stable",
        Words("the only version; required where there are several"),
        "the name of a version",
        "The version that owns the service at rest.",
    ),
    key(
        Section::Service,
        "announce",
        Value("\"none\""),
        "`none`, `arp`",
        "Who answers for the VIP: nobody here (it is routed to this host or configured on it), or the packet path, for ARP and neighbour solicitations. The same for all services of one VIP.",
    ),
    key(
        Section::Service,
        "prepare",
        Value("\"3s\""),
        "0.1 s to 6 s, as in `500ms`, `3s`",
        "How long new flows keep going where they went before a change, so that handshakes under way end where they began.",
    ),
    key(
        Section::Service,
        "weights",
        Words("everything to `stable`"),
        "version → percent, at most two decimals, together 100; each is 0 or gets at least one slot",
        "Shares of new flows at the *first* start. Versions that are not named get 0. Weights set later by command stay in force.",
    ),
    key(
        Section::Service,
        "drain",
        Words("its keys' defaults"),
        "a table",
        "When flows are over.",
    ),
    key(
        Section::Service,
        "version",
        Required,
        "1 to 64 tables",
        "The versions.",
    ),
    key(
        Section::Drain,
        "idle",
        Value("\"5m\""),
        "10 s to 24 h",
        "A flow silent for so long is over. A TCP flow can break only if it was silent for longer while its slot moved.",
    ),
    key(
        Section::Version,
        "name",
        Required,
        "as a service's; unique in the service",
        "Name of the version.",
    ),
    key(
        Section::Version,
        "backends",
        Required,
        "an array of tables; empty only where the version's weight is 0; at most 65,535 in a service",
        "Its backends.",
    ),
    key(
        Section::Backend,
        "address",
        Required,
        "a unicast address of the VIP's family, not loopback",
        "The backend's own address. With the port it is unique in the service.",
    ),
    key(
        Section::Backend,
        "port",
        Words("the service's port"),
        "1 to 65,535; `nat` only",
        "The port that the backend listens on. No two `nat` services may share an address, port and protocol: nobody could tell whose replies they are.",
    ),
    key(
        Section::Backend,
        "weight",
        Value("1"),
        "1 to 65,535",
        "Its share within the version, in proportion to the others.",
    ),
];

/// Keys and tables of later versions: refused with words of their own, since whoever writes them has read of them.
const LATER: &[(Section, &[&str])] = &[
    (
        Section::Daemon,
        &[
            "metrics",
            "icmp_source",
            "hairpin_source",
            "etcd",
            "dashboard",
        ],
    ),
    (
        Section::Service,
        &[
            "analysis",
            "client_prefix",
            "confirm_within",
            "flows",
            "hairpin_source",
            "health",
            "icmp_echo",
            "on_unhealthy",
            "ports",
            "quic",
            "rollout",
            "route",
            "slow_start",
            "tracking",
        ],
    ),
    (Section::Drain, &["deadline"]),
    (Section::Version, &["health", "slow_start"]),
    (Section::Backend, &["decap", "health", "name"]),
];

/// The names of a section's keys.
pub(super) fn known(section: Section) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(move |key| key.section == section)
        .map(|key| key.name)
}

/// Whether the key belongs to a later version.
pub(super) fn is_later(section: Section, name: &str) -> bool {
    LATER
        .iter()
        .any(|(of, names)| *of == section && names.contains(&name))
}

/// Whether a key needs no quotes.
pub(super) fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What to say was expected instead of an unknown key: the nearest known one, or all where none is near.
pub(super) fn nearest(section: Section, name: &str) -> String {
    let distance = |known: &&str| distance(name, known);
    let near = known(section)
        .min_by_key(distance)
        .filter(|known| distance(known) <= (known.len() / 2).max(2));
    match near {
        Some(known) => format!("\"{known}\", the nearest known key"),
        None => {
            let all: Vec<_> = known(section).map(|known| format!("\"{known}\"")).collect();
            format!("one of {}", all.join(", "))
        }
    }
}

/// Levenshtein distance, of the first 64 characters: what is longer is near to nothing.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The tables of `docs/configuration.md`, in Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = write!(
            text,
            "### {}\n\n| key | default | values | meaning |\n|---|---|---|---|\n",
            section.title()
        );
        for key in KEYS.iter().filter(|key| key.section == section) {
            let default = match key.default {
                Required => "required".to_owned(),
                Value(value) => format!("`{value}`"),
                Words(words) => words.to_owned(),
            };
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} | {} |",
                key.name, key.values, key.help
            );
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(
            nearest(Section::Service, "protocoll"),
            "\"protocol\", the nearest known key"
        );
        assert_eq!(nearest(Section::Drain, "timeout"), "one of \"idle\"");
    }

    #[test]
    fn no_key_is_both_known_and_of_a_later_version() {
        for key in KEYS {
            assert!(!is_later(key.section, key.name), "{}", key.name);
        }
    }
}
