//! Broken configurations: each is a sound one with one fault.

/// A sound configuration becomes a broken one: this text, replaced once by that, is an error that names these.
pub(crate) struct Broken {
    pub(crate) what: &'static str,
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
    /// Words of the error, among them the key.
    pub(crate) says: &'static [&'static str],
}

const fn broken(
    what: &'static str,
    find: &'static str,
    replace: &'static str,
    says: &'static [&'static str],
) -> Broken {
    Broken {
        what,
        find,
        replace,
        says,
    }
}

/// What is to be broken.
pub(crate) const SOUND: &str = r#"[daemon]
interfaces = ["eth0"]
socket = "FOLDER/other.sock"
state_dir = "FOLDER/state"
bpffs = "BPFFS"

[[service]]
name = "web"
vip = "192.0.2.100"
port = 80
protocol = "tcp"
mode = "dsr"
affinity = "flow"
announce = "arp"
slots = 16384
stable = "blue"
prepare = "1s"

[service.drain]
idle = "5m"

[service.weights]
blue = 60
green = 40

[[service.version]]
name = "blue"
backends = [{ address = "192.0.2.11" }, { address = "192.0.2.12", weight = 2 }]

[[service.version]]
name = "green"
backends = [{ address = "192.0.2.21" }, { address = "192.0.2.22" }]

[[service]]
name = "other"
vip = "2001:db8:0:1::100"
port = 53
protocol = "udp"
mode = "nat"
stable = "old"

[[service.version]]
name = "old"
backends = [{ address = "2001:db8:0:1::11", port = 5353 }]
"#;

/// The broken ones, one fault each.
pub(crate) const BROKEN: &[Broken] = &[
    broken("not TOML", "[daemon]", "[daemon", &["found", "expected"]),
    broken(
        "a section that does not exist",
        "[daemon]",
        "[demon]",
        &["demon"],
    ),
    broken(
        "an unknown key of the daemon",
        "interfaces =",
        "interface =",
        &["interface"],
    ),
    broken(
        "an unknown key of a service",
        "affinity = \"flow\"",
        "afinity = \"flow\"",
        &["afinity"],
    ),
    broken(
        "an unknown key of a version",
        "name = \"green\"",
        "name = \"green\"\ncolor = 1",
        &["color"],
    ),
    broken(
        "an unknown key of a backend",
        "weight = 2",
        "wheight = 2",
        &["wheight"],
    ),
    broken(
        "a key twice",
        "port = 80",
        "port = 80\nport = 81",
        &[":11:", "duplicate key"],
    ),
    broken("no interfaces", "[\"eth0\"]", "[]", &["daemon.interfaces"]),
    broken(
        "an interface twice",
        "[\"eth0\"]",
        "[\"eth0\", \"eth0\"]",
        &["daemon.interfaces", "eth0"],
    ),
    broken(
        "an interface that does not exist",
        "[\"eth0\"]",
        "[\"eth7\"]",
        &["daemon.interfaces", "eth7"],
    ),
    broken(
        "a number for a string",
        "\"FOLDER/state\"",
        "7",
        &["daemon.state_dir", "7"],
    ),
    broken("no name", "name = \"web\"\n", "", &["name"]),
    broken(
        "a service twice",
        "name = \"other\"",
        "name = \"web\"",
        &["service[1].name", "web"],
    ),
    broken("no VIP", "vip = \"192.0.2.100\"\n", "", &["vip"]),
    broken(
        "a VIP that is no address",
        "\"192.0.2.100\"",
        "\"192.0.2.300\"",
        &["service[0].vip", "192.0.2.300"],
    ),
    broken(
        "a VIP that is a network",
        "\"192.0.2.100\"",
        "\"192.0.2.0/24\"",
        &["service[0].vip", "192.0.2.0/24"],
    ),
    broken(
        "a VIP that is no host's",
        "\"192.0.2.100\"",
        "\"224.0.0.1\"",
        &["service[0].vip", "224.0.0.1"],
    ),
    broken(
        "an unspecified VIP",
        "\"192.0.2.100\"",
        "\"0.0.0.0\"",
        &["service[0].vip", "0.0.0.0"],
    ),
    broken("port 0", "port = 80", "port = 0", &["service[0].port", "0"]),
    broken(
        "a port that is too large",
        "port = 80",
        "port = 65536",
        &["service[0].port", "65536"],
    ),
    broken(
        "a negative port",
        "port = 80",
        "port = -1",
        &["service[0].port", "-1"],
    ),
    broken(
        "a port in words",
        "port = 80",
        "port = \"http\"",
        &["service[0].port", "http"],
    ),
    broken(
        "an unknown protocol",
        "\"tcp\"",
        "\"sctp\"",
        &["service[0].protocol", "sctp", "tcp"],
    ),
    broken(
        "an unknown mode",
        "\"dsr\"",
        "\"drs\"",
        &["service[0].mode", "drs", "dsr"],
    ),
    broken(
        "an unknown affinity",
        "\"flow\"",
        "\"cookie\"",
        &["service[0].affinity", "cookie", "client"],
    ),
    broken(
        "an unknown way to announce",
        "\"arp\"",
        "\"bgp\"",
        &["service[0].announce", "bgp", "arp"],
    ),
    broken(
        "slots that are no power of two",
        "slots = 16384",
        "slots = 10000",
        &["service[0].slots", "10000"],
    ),
    broken(
        "no slots",
        "slots = 16384",
        "slots = 0",
        &["service[0].slots", "0"],
    ),
    broken(
        "a stable version that does not exist",
        "\"blue\"\nprep",
        "\"bleu\"\nprep",
        &["service[0].stable", "bleu"],
    ),
    broken(
        "a duration without a unit",
        "\"1s\"",
        "\"1\"",
        &["service[0].prepare", "1"],
    ),
    broken(
        "a number for a duration",
        "\"5m\"",
        "300",
        &["service[0].drain.idle", "300"],
    ),
    broken(
        "no idle time",
        "\"5m\"",
        "\"0s\"",
        &["service[0].drain.idle", "0s"],
    ),
    broken(
        "a longer prepare than a handshake is remembered",
        "\"1s\"",
        "\"1h\"",
        &["service[0].prepare", "1h"],
    ),
    broken(
        "weights that do not sum to 100",
        "green = 40",
        "green = 41",
        &["service[0].weights", "101"],
    ),
    broken(
        "a weight of no version",
        "green = 40",
        "gren = 40",
        &["service[0].weights", "gren"],
    ),
    broken(
        "a weight of three decimals",
        "green = 40\n",
        "green = 40.001\n",
        &["service[0].weights", "40.001"],
    ),
    broken(
        "a weight below nothing",
        "green = 40\n",
        "green = -40\n",
        &["service[0].weights", "-40"],
    ),
    broken(
        "a positive weight that rounds to no slot",
        "slots = 16384\nstable = \"blue\"\nprepare = \"1s\"\n\n[service.drain]\nidle = \"5m\"\n\n[service.weights]\n\
         blue = 60\ngreen = 40",
        "slots = 64\nstable = \"blue\"\nprepare = \"1s\"\n\n[service.drain]\nidle = \"5m\"\n\n[service.weights]\n\
         blue = 99.99\ngreen = 0.01",
        &["service[0].weights", "0.01"],
    ),
    broken(
        "a version twice",
        "name = \"green\"",
        "name = \"blue\"",
        &["service[0].version[1].name", "blue"],
    ),
    broken(
        "a version without backends",
        "[{ address = \"192.0.2.21\" }, { address = \"192.0.2.22\" }]",
        "[]",
        &["service[0].version[1].backends"],
    ),
    broken(
        "a backend twice",
        "\"192.0.2.22\"",
        "\"192.0.2.21\"",
        &["service[0].version[1].backends[1]", "192.0.2.21"],
    ),
    broken(
        "a backend of another family",
        "\"192.0.2.21\"",
        "\"2001:db8::21\"",
        &["service[0].version[1].backends[0].address", "2001:db8::21"],
    ),
    broken(
        "a backend that is no address",
        "\"192.0.2.21\"",
        "\"green.example\"",
        &["service[0].version[1].backends[0].address", "green.example"],
    ),
    broken(
        "a backend's port where the mode keeps it",
        "{ address = \"192.0.2.21\" }",
        "{ address = \"192.0.2.21\", port = 81 }",
        &["service[0].version[1].backends[0].port", "81"],
    ),
    broken(
        "a backend's port 0",
        "port = 5353",
        "port = 0",
        &["service[1].version[0].backends[0].port", "0"],
    ),
    broken(
        "a backend's weight 0",
        "weight = 2",
        "weight = 0",
        &["service[0].version[0].backends[1].weight", "0"],
    ),
    broken(
        "a backend's weight that is too large",
        "weight = 2",
        "weight = 65536",
        &["service[0].version[0].backends[1].weight", "65536"],
    ),
    broken(
        "two services on one VIP and port",
        "vip = \"2001:db8:0:1::100\"\nport = 53\nprotocol = \"udp\"\nmode = \"nat\"\nstable = \"old\"\n\n\
         [[service.version]]\nname = \"old\"\nbackends = [{ address = \"2001:db8:0:1::11\", port = 5353 }]",
        "vip = \"192.0.2.100\"\nport = 80\nprotocol = \"tcp\"\nmode = \"nat\"\nstable = \"old\"\n\n\
         [[service.version]]\nname = \"old\"\nbackends = [{ address = \"192.0.2.31\", port = 5353 }]",
        &["service[1]", "192.0.2.100"],
    ),
];
