//! Who may know, touch or do what.

use crate::rule::{Rule, daemon_and_cli, in_module, product, pure};

/// Where `unsafe` may stand, and why.
const UNSAFE: &[(&str, &str)] = &[
    (
        "splitter-ebpf/src/",
        "packets and maps are raw pointers there",
    ),
    (
        "splitter/src/dataplane/",
        "maps are memory-mapped, and aya has no API for it",
    ),
    (
        "tests/",
        "a child must be told to die with its parent before it runs, and namespaces are entered by descriptor",
    ),
];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "model, plan and transition do no input or output and read no clock",
        reason: "they are tested by the million, run in `explain` and the model of flows, and must give the same answer \
                 on every host",
        applies: pure,
        find: |file, _| {
            file.with_phrase(&[
                "aya",
                "aya_obj",
                "tokio",
                "axum",
                "hyper",
                "rtnetlink",
                "nix",
                "libc",
                "tracing",
                "std::fs",
                "std::process",
                "std::thread",
                "std::env",
                "std::os",
                "std::io",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
                "UnixListener",
                "File",
                "Command",
                "Instant",
                "SystemTime",
                "now()",
                "crate::daemon",
                "crate::dataplane",
                "crate::net",
                "crate::cli",
                "crate::api",
                "crate::object",
            ])
        },
        breaches: &[
            ("splitter/src/plan/cut.rs", "use tokio::sync::Mutex;"),
            (
                "splitter/src/model/mod.rs",
                "let text = std::fs::read_to_string(path);",
            ),
            (
                "splitter/src/transition/step.rs",
                "let t = std::time::Instant::now();",
            ),
            ("splitter/src/plan/mod.rs", "use crate::daemon::Clock;"),
        ],
        innocent: &[
            (
                "splitter/src/plan/mod.rs",
                "// tokio is not needed here\nuse std::net::IpAddr;\nuse std::time::Duration;",
            ),
            ("splitter/src/net/mod.rs", "use rtnetlink::Handle;"),
        ],
    },
    Rule {
        name: "only dataplane and object name aya",
        reason: "the rest speaks of services, slots and backends, so that maps can be replaced by memory in a test",
        applies: |path| {
            daemon_and_cli(path) && !in_module(path, "dataplane") && !in_module(path, "object")
        },
        find: |file, _| file.with_phrase(&["aya", "aya_obj"]),
        breaches: &[(
            "splitter/src/daemon/mod.rs",
            "let map: aya::maps::Array<_, u32> = x;",
        )],
        innocent: &[
            ("splitter/src/dataplane/maps.rs", "use aya::Ebpf;"),
            ("splitter/src/daemon/mod.rs", "let ayatollah = 1; // aya"),
        ],
    },
    Rule {
        name: "only cli prints",
        reason: "a daemon's output is its log, and a library that prints cannot be used by the tests or another front",
        applies: |path| daemon_and_cli(path) && !in_module(path, "cli"),
        find: |file, _| file.with_phrase(&["println!", "eprintln!", "print!", "eprint!", "dbg!"]),
        breaches: &[
            ("splitter/src/daemon/mod.rs", "println!(\"ready\");"),
            ("splitter/src/config/mod.rs", "eprintln!(\"{error}\");"),
        ],
        innocent: &[
            ("splitter/src/cli/run.rs", "println!(\"x\");"),
            ("splitter/src/daemon/mod.rs", "let s = \"println!\";"),
        ],
    },
    Rule {
        name: "only daemon/clock.rs reads the time",
        reason: "everything else takes it as an argument, so that a test can be a day long and take a millisecond",
        applies: |path| {
            path != "splitter/src/daemon/clock.rs"
                && (daemon_and_cli(path) || path.starts_with("splitter-common/src/"))
                && product(path)
        },
        find: |file, _| {
            file.with_phrase(&[
                "Instant::now",
                "SystemTime::now",
                "Timestamp::now",
                "Zoned::now",
                "clock_gettime",
                "elapsed()",
            ])
        },
        breaches: &[
            (
                "splitter/src/daemon/mod.rs",
                "let now = std::time::Instant::now();",
            ),
            (
                "splitter/src/cli/mod.rs",
                "let now = jiff::Timestamp::now();",
            ),
            (
                "splitter/src/dataplane/mod.rs",
                "libc::clock_gettime(x, y);",
            ),
        ],
        innocent: &[
            ("splitter/src/daemon/clock.rs", "jiff::Timestamp::now()"),
            ("splitter/src/daemon/mod.rs", "let now = clock.now();"),
        ],
    },
    Rule {
        name: "cli reaches the daemon through api::client alone",
        reason: "whatever the command line can do, another client of the API can do too",
        applies: |path| in_module(path, "cli") && product(path),
        find: |file, _| {
            // `run` is the daemon, and `detach` is for when there is none.
            let mut found = file.with_phrase(&["UnixStream", "hyper", "hyper_util", "crate::net"]);
            if !file.path.ends_with("/run.rs") {
                found.extend(file.with_phrase(&["daemon::", "crate::daemon"]));
            }
            if !file.path.ends_with("/detach.rs") {
                found.extend(file.with_phrase(&["dataplane::", "crate::dataplane"]));
            }
            found
        },
        breaches: &[
            ("splitter/src/cli/weight.rs", "use crate::daemon::Daemon;"),
            (
                "splitter/src/cli/get.rs",
                "let s = tokio::net::UnixStream::connect(path);",
            ),
            ("splitter/src/cli/stats.rs", "use crate::dataplane;"),
        ],
        innocent: &[
            (
                "splitter/src/cli/run.rs",
                "crate::daemon::run(configuration)",
            ),
            (
                "splitter/src/cli/detach.rs",
                "crate::dataplane::detach(&bpffs)",
            ),
            ("splitter/src/cli/get.rs", "use crate::api::client::Client;"),
        ],
    },
    Rule {
        name: "splitter-common needs neither std nor a heap",
        reason: "the kernel has neither, and what runs there must be what the tests run",
        applies: |path| path.starts_with("splitter-common/src/") && product(path),
        find: |file, _| file.with_phrase(&["std::", "alloc::", "Vec", "String", "Box", "HashMap"]),
        breaches: &[
            (
                "splitter-common/src/datapath/parse.rs",
                "use std::net::IpAddr;",
            ),
            ("splitter-common/src/wire/mod.rs", "let v: Vec<u8> = x;"),
        ],
        innocent: &[(
            "splitter-common/src/hash.rs",
            "#[cfg(test)]\nmod tests { use std::vec::Vec; }\nuse core::mem;",
        )],
    },
    Rule {
        name: "unsafe stands in the BPF adapters and the memory-mapped maps only",
        reason: "a fault elsewhere then cannot be a fault of memory",
        applies: |path| {
            path.ends_with(".rs") && !UNSAFE.iter().any(|(allowed, _)| path.starts_with(allowed))
        },
        find: |file, _| {
            file.with_phrase(&[
                "unsafe {",
                "unsafe fn",
                "unsafe impl",
                "unsafe extern",
                "unsafe trait",
            ])
        },
        breaches: &[
            ("splitter/src/daemon/mod.rs", "let x = unsafe { *p };"),
            ("splitter-common/src/abi/mod.rs", "unsafe impl Pod for X {}"),
        ],
        innocent: &[
            (
                "splitter-ebpf/src/packet.rs",
                "// SAFETY: checked\nunsafe { *p }",
            ),
            ("splitter/src/daemon/mod.rs", "// unsafe { }"),
        ],
    },
];
