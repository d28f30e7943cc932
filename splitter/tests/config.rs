//! The configuration: what is accepted, what is refused and in which words.
//!
//! `SPLITTER_BLESS=1` rewrites the expected errors in `tests/data/broken/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use splitter::config::{self, ConfigError};
use splitter::model::{Affinity, Announce, Configuration, Mode, Protocol, Seed, XdpMode};

const GOOD: &str = include_str!("data/good.toml");
const MINIMAL: &str = r#"
[daemon]
interfaces = ["eth0"]

[[service]]
name = "web"
vip = "203.0.113.10"
port = 443
protocol = "tcp"
mode = "dsr"

[[service.version]]
name = "blue"
backends = [{ address = "10.0.0.11" }]
"#;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn blessing() -> bool {
    std::env::var_os("SPLITTER_BLESS").is_some_and(|value| value == "1")
}

fn parse(text: &str) -> Result<Configuration, ConfigError> {
    config::parse("splitter.toml", text)
}

fn error_of(text: &str) -> ConfigError {
    parse(text).expect_err("a broken configuration")
}

#[test]
fn every_key_reaches_the_model() {
    let text = r#"
[daemon]
interfaces = ["eth0", "wan.7"]
xdp_mode = "skb"
socket = "/run/s.sock"
state_dir = "/var/s"
bpffs = "/sys/fs/bpf/s"
max_slots = 4096
flow_records = 0x1_0000
reverse_records = 4096
hairpin_source = ["2001:db8::250", "10.0.0.250"]
seed = "0123456789abcdefFEDCBA9876543210"

[[service]]
name = "dns"
vip = "2001:db8::53"
port = 53
protocol = "udp"
mode = "nat"
affinity = "client"
slots = 4096
stable = "new"
announce = "arp"
icmp_echo = true
prepare = "1s 500ms"
weights = { old = 33.30, new = 66.7 }
drain = { idle = "1h" }

[[service.version]]
name = "old"
backends = [{ address = "2001:db8::1" }, { address = "2001:db8::1", port = 5353, weight = 65535 }]

[[service.version]]
name = "new"
[[service.version.backends]]
address = "2001:db8::2"

[[service.version]]
name = "idle"
backends = []
"#;
    let configuration = parse(text).unwrap();
    let daemon = &configuration.daemon;
    assert_eq!(daemon.interfaces, ["eth0", "wan.7"]);
    assert_eq!(daemon.xdp_mode, XdpMode::Skb);
    assert_eq!(daemon.socket, Path::new("/run/s.sock"));
    assert_eq!(daemon.state_dir, Path::new("/var/s"));
    assert_eq!(daemon.bpffs, Path::new("/sys/fs/bpf/s"));
    assert_eq!((daemon.max_slots, daemon.flow_records), (4096, 65_536));
    assert_eq!(daemon.reverse_records, 4096);
    let sources: Vec<String> = daemon
        .hairpin_source
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(sources, ["2001:db8::250", "10.0.0.250"]);
    assert_eq!(
        daemon.seed,
        Some(Seed([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]))
    );
    let [dns] = &configuration.services[..] else {
        panic!("one service")
    };
    assert_eq!(
        (dns.name.as_str(), dns.ports.to_string(), dns.slots),
        ("dns", "53".to_owned(), 4096)
    );
    assert_eq!(dns.vip.to_string(), "2001:db8::53");
    assert_eq!((dns.protocol, dns.mode), (Protocol::Udp, Mode::Nat));
    assert_eq!(
        (dns.affinity, dns.announce),
        (Affinity::Client, Announce::Arp)
    );
    assert!(dns.icmp_echo);
    assert_eq!(
        (dns.prepare, dns.drain_idle),
        (Duration::from_millis(1500), Duration::from_secs(3600))
    );
    assert_eq!(dns.stable, "new");
    let weights: Vec<u16> = dns.weights.shares().iter().map(|share| share.0).collect();
    assert_eq!(weights, [3330, 6670, 0]);
    let backends: Vec<Vec<(String, u16, u32)>> = dns
        .versions
        .iter()
        .map(|version| {
            version
                .backends
                .iter()
                .map(|b| (b.address.to_string(), b.port, b.weight))
                .collect()
        })
        .collect();
    let v = |address: &str, port, weight| (address.to_owned(), port, weight);
    assert_eq!(
        backends,
        [
            vec![v("2001:db8::1", 0, 1), v("2001:db8::1", 5353, 65_535)],
            vec![v("2001:db8::2", 0, 1)],
            vec![]
        ]
    );
}

#[test]
fn what_need_not_be_written() {
    let none = parse("[daemon]\ninterfaces = [\"eth0\"]\n").unwrap();
    assert_eq!(none.services, []);
    let minimal = parse(MINIMAL).unwrap();
    let web = &minimal.services[0];
    assert_eq!(
        (web.stable.as_str(), web.weights.share(0).0),
        ("blue", 10_000)
    );
    assert_eq!(
        web.versions[0].backends[0].port, 0,
        "a backend gets the port that the client dialled"
    );
    assert_eq!(minimal.daemon.seed, None);
}

#[test]
fn broken_files_earn_one_error_each() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder("tests/data/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 60, "{} files", files.len());
    let mut wrong = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Err(error) = config::parse(name, &text) else {
            wrong.push(format!("{name} is accepted"));
            continue;
        };
        let (first, rest) = text.split_once('\n').unwrap();
        let expected = format!("# error: {error}");
        if blessing() {
            fs::write(path, format!("{expected}\n{rest}")).unwrap();
        } else if first != expected {
            wrong.push(format!("{first}\n  is now\n{expected}"));
        }
        assert!(error.line >= 1 && error.column >= 1, "{error}");
        assert!(error.line <= text.lines().count().max(1) + 1, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_good_file_and_the_example_are_good() {
    let good = parse(GOOD).unwrap();
    assert_eq!(good.services.len(), 2);
    let example = config::load(&folder("splitter.example.toml")).unwrap();
    assert!(!example.services.is_empty());
}

#[test]
fn files_that_are_no_text_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("splitter.toml");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        config::load(&path).expect_err("a broken file").to_string()
    };
    let file = path.display().to_string();
    assert_eq!(
        load(b"[daemon]\n# \xc3\xa9 \xff\n"),
        format!("{file}:2:5: found the byte 0xff, which is not UTF-8, expected UTF-8 text")
    );
    assert_eq!(
        load(&vec![b'\n'; (16 << 20) + 1]),
        format!("{file}:1:1: found more than 16 MiB, expected a file of at most 16 MiB")
    );
    fs::remove_file(&path).unwrap();
    let missing = config::load(&path).unwrap_err().to_string();
    assert!(
        missing.starts_with(&format!(
            "{file}:1:1: found an unreadable file (No such file"
        )),
        "{missing}"
    );
    let directory = config::load(scratch.path()).unwrap_err().to_string();
    assert!(
        directory.contains("found an unreadable file (Is a directory"),
        "{directory}"
    );
    let endless = config::load(Path::new("/dev/zero"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        endless,
        "/dev/zero:1:1: found more than 16 MiB, expected a file of at most 16 MiB"
    );
}

#[test]
fn too_many_versions_and_backends_are_refused() {
    let version = |n| {
        format!(
            "[[service.version]]\nname = \"v{n}\"\nbackends = [{{ address = \"10.1.0.{n}\" }}]\n"
        )
    };
    let many: String = (1..=64).map(version).collect();
    assert_eq!(
        error_of(&format!("{MINIMAL}{many}")).to_string(),
        "splitter.toml:12:1: service[0].version: found 65 versions, expected 1 to 64 tables [[service.version]]"
    );
    let backends = |count: u32| {
        let list: String = (1..count)
            .map(|n| {
                format!(
                    "{{ address = \"10.{}.{}.{}\" }},\n",
                    1 + (n >> 16),
                    (n >> 8) & 255,
                    n & 255
                )
            })
            .collect();
        MINIMAL.replace("[{ address", &format!("[{list}{{ address"))
    };
    assert!(parse(&backends(65_535)).is_ok());
    assert_eq!(
        error_of(&backends(65_536)).found,
        "one backend more than 65,535"
    );
}

#[test]
fn interfaces_are_judged_on_the_host() {
    let good = parse(GOOD).unwrap();
    assert_eq!(config::check_host(&good, |_| true), Ok(()));
    assert_eq!(
        config::check_host(&good, |name| name == "eth0")
            .unwrap_err()
            .to_string(),
        "splitter.toml:2:23: daemon.interfaces[1]: found \"eth1\", which this host does not have, \
         expected the name of a network interface of this host"
    );
}

#[test]
fn a_seed_is_never_repeated() {
    let secret = "00112233445566778899aabbccddeefg";
    let error = error_of(&format!(
        "[daemon]\ninterfaces = [\"eth0\"]\nseed = \"{secret}\"\n"
    ));
    assert!(!error.to_string().contains(&secret[..8]), "{error}");
}

/// A change of a good file: where, how much is taken away, what is put there instead.
fn mutation() -> impl Strategy<Value = (usize, usize, String)> {
    let pieces = prop_oneof![
        proptest::sample::select(vec![
            "",
            "\"",
            "[",
            "]",
            "{",
            "}",
            "=",
            "\n",
            ",",
            "#",
            "0",
            "-1",
            "9999999999999999999999",
            "1e400",
            "nan",
            "true",
            "[[service]]\n",
            "[service]\n",
            "\u{0}",
            "\u{feff}",
            "é",
            "port = 0\n",
            "'''",
            "0x",
            "1979-05-27",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,6}",
        any::<char>().prop_map(String::from),
    ];
    (0..GOOD.len(), 0_usize..12, pieces)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_parse_or_earn_one_error(changes in proptest::collection::vec(mutation(), 1..4)) {
        let mut text = GOOD.to_owned();
        for (at, taken, piece) in changes {
            let at = at.min(text.len());
            let start = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let end = (start + taken).min(text.len());
            let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
            text.replace_range(start..end, &piece);
        }
        if let Err(error) = parse(&text) {
            let line = text.split('\n').nth(error.line - 1);
            prop_assert!(line.is_some(), "{error}\n{text}");
            prop_assert!(error.column <= line.unwrap().chars().count() + 1, "{error}\n{text}");
            prop_assert!(!error.to_string().contains('\n'), "{error}");
            prop_assert!(!error.found.is_empty() && !error.expected.is_empty(), "{error}");
        }
    }
}

#[test]
fn ports_are_read_alone_in_arrays_and_in_ranges() {
    for (written, ports) in [
        ("port = 443", "443"),
        ("ports = [443]", "443"),
        ("ports = [443, 80, \"8000-8099\"]", "80,443,8000-8099"),
        ("ports = \"8000-9023\"", "8000-9023"),
        ("ports = [\"1-2\", \"65534-65535\"]", "1-2,65534-65535"),
    ] {
        let configuration = parse(&MINIMAL.replace("port = 443", written)).unwrap();
        assert_eq!(configuration.services[0].ports.to_string(), ports);
    }
}
