//! The rules as data.

use std::path::Path;

use crate::source::{Source, has_phrase};

/// A rule.
pub(crate) struct Rule {
    /// What it asks.
    pub(crate) name: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
    /// Whether a path is its business.
    pub(crate) applies: fn(&str) -> bool,
    /// Breaches: line and what was found.
    pub(crate) find: fn(&Source, &Path) -> Vec<(usize, String)>,
    /// Path and text that it must notice.
    pub(crate) breaches: &'static [(&'static str, &'static str)],
    /// Path and text that it must leave alone.
    pub(crate) innocent: &'static [(&'static str, &'static str)],
}

/// Product code: what users run, in the kernel or out of it, without the files of unit tests.
fn product(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.ends_with(".rs")
        && !path.contains("/tests/")
        && file != "tests.rs"
        && !file.ends_with("_tests.rs")
}

fn daemon_and_cli(path: &str) -> bool {
    path.starts_with("splitter/src/") && product(path)
}

fn in_module(path: &str, module: &str) -> bool {
    path.starts_with(&format!("splitter/src/{module}/"))
        || path == format!("splitter/src/{module}.rs")
}

fn pure(path: &str) -> bool {
    product(path)
        && ["model", "plan", "transition"]
            .iter()
            .any(|module| in_module(path, module))
}

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

const TOO_LONG: &str = match std::str::from_utf8(&[b'\n'; 451]) {
    Ok(text) => text,
    Err(_) => panic!("line feeds are UTF-8"),
};

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
            let run = file.path.ends_with("/run.rs");
            let mut found = file.with_phrase(&[
                "UnixStream",
                "hyper",
                "hyper_util",
                "crate::dataplane",
                "crate::net",
            ]);
            if !run {
                found.extend(file.with_phrase(&["daemon::", "crate::daemon"]));
            }
            found
        },
        breaches: &[
            ("splitter/src/cli/weight.rs", "use crate::daemon::Daemon;"),
            (
                "splitter/src/cli/get.rs",
                "let s = tokio::net::UnixStream::connect(path);",
            ),
        ],
        innocent: &[
            (
                "splitter/src/cli/run.rs",
                "crate::daemon::run(configuration)",
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
    Rule {
        name: "each unsafe has its reason",
        reason: "clippy asks for it only where it looks: not in the other crates' test code, nor behind a cfg",
        applies: |path| path.ends_with(".rs"),
        find: |file, _| {
            let text: Vec<&str> = file.text.lines().collect();
            file.with_phrase(&["unsafe {", "unsafe impl", "unsafe fn"])
                .into_iter()
                .filter(|(line, _)| {
                    let above = &text[line.saturating_sub(9)..*line];
                    !above
                        .iter()
                        .any(|l| l.contains("SAFETY:") || l.contains("# Safety"))
                })
                .collect()
        },
        breaches: &[
            (
                "splitter-ebpf/src/packet.rs",
                "fn f() {\n    unsafe { *p }\n}",
            ),
            (
                "splitter-ebpf/src/packet.rs",
                "// why not\nunsafe fn f() {}",
            ),
        ],
        innocent: &[(
            "splitter-ebpf/src/packet.rs",
            "// SAFETY: p was checked against the end.\nunsafe { *p }",
        )],
    },
    Rule {
        name: "no file has more than 450 lines",
        reason: "one idea a file, and a file that can be read in one go",
        applies: |path| path.ends_with(".rs") && !path.contains("/data/"),
        find: |file, _| {
            let lines = file.text.lines().count();
            if lines > 450 {
                vec![(lines, format!("{lines} lines"))]
            } else {
                Vec::new()
            }
        },
        breaches: &[("splitter/src/daemon/mod.rs", TOO_LONG)],
        innocent: &[("splitter/src/daemon/mod.rs", "\n\n\n")],
    },
    Rule {
        name: "nothing is unfinished, switched off or hidden",
        reason: "what does not work is not in the house; what is planned is in the issues",
        applies: |path| path.ends_with(".rs"),
        find: |file, _| {
            let marks = [
                concat!("FIX", "ME"),
                concat!("X", "XX"),
                concat!("TO", "DO"),
            ];
            let mut found = file.with_phrase(&[
                "todo!",
                "unimplemented!",
                "#[ignore",
                "allow(dead_code",
                "allow(unused",
                "expect(dead_code",
            ]);
            found.extend(file.text_lines().filter_map(|(number, line)| {
                let mark = marks.iter().find(|mark| has_phrase(line, mark))?;
                Some((number, format!("`{mark}`")))
            }));
            found
        },
        breaches: &[
            ("splitter/src/daemon/mod.rs", "todo!()"),
            ("tests/tests/x.rs", "#[ignore]\n#[test]\nfn f() {}"),
            ("splitter/src/daemon/mod.rs", concat!("// FIX", "ME: later")),
            (
                "splitter/src/daemon/mod.rs",
                "#[allow(dead_code)]\nfn f() {}",
            ),
        ],
        innocent: &[("splitter/src/daemon/mod.rs", "let s = \"todo!\";")],
    },
    Rule {
        name: "the words of the glossary",
        reason: "one name for one thing, in the kernel, the daemon, the command line and the docs: a server is a \
                 backend, a set of them a version",
        applies: |path| {
            product(path)
                && (pure(path)
                    || in_module(path, "api")
                    || path.starts_with("splitter-common/src/"))
        },
        find: |file, _| {
            let words = [
                "real",
                "reals",
                "endpoint",
                "endpoints",
                "pool",
                "pools",
                "upstream",
                "upstreams",
            ];
            file.code_lines()
                .filter_map(|(number, line)| {
                    let word = line
                        .split(|c: char| !c.is_alphanumeric())
                        .find(|word| words.contains(&word.to_lowercase().as_str()))?;
                    Some((number, format!("`{word}`")))
                })
                .collect()
        },
        breaches: &[
            ("splitter/src/plan/mod.rs", "let real_count = 3;"),
            ("splitter/src/api/types.rs", "pub endpoint: IpAddr,"),
        ],
        innocent: &[("splitter/src/plan/mod.rs", "let realm = 3; // a real one")],
    },
    Rule {
        name: "no path of anybody's machine",
        reason: "a clone elsewhere has none of them",
        applies: |_| true,
        find: |file, _| {
            let paths = [
                concat!("/wo", "rk/"),
                concat!("/ro", "ot/"),
                concat!("/ho", "me/"),
            ];
            file.text_lines()
                .filter_map(|(number, line)| {
                    let path = paths.iter().find(|path| {
                        line.match_indices(**path).any(|(at, _)| {
                            !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.')
                        })
                    })?;
                    Some((number, format!("`{path}`")))
                })
                .collect()
        },
        breaches: &[
            ("README.md", concat!("see /wo", "rk/shared")),
            ("xtask/src/main.rs", concat!("\"/ho", "me/me/x\"")),
        ],
        innocent: &[("docs/testing.md", "net/work/s and a/root/b")],
    },
    Rule {
        name: "every link of the documentation leads to a file, and to a heading of it",
        reason: "a link that leads nowhere is worse than none",
        applies: |path| path.ends_with(".md"),
        find: dead_links,
        breaches: &[
            ("docs/testing.md", "see [that](no-such-file.md)"),
            ("README.md", "see [that](README.md#no-such-heading)"),
        ],
        innocent: &[
            (
                "README.md",
                "[x](https://example.org/no.md), [y](Cargo.toml), `[z](not-code.md)`",
            ),
            (
                "docs/testing.md",
                "[up](../README.md)\n```\n[in](a-block.md)\n```\n",
            ),
        ],
    },
];

fn dead_links(file: &Source, root: &Path) -> Vec<(usize, String)> {
    let folder = root.join(Path::new(&file.path).parent().unwrap_or(Path::new("")));
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in file.text_lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between back quotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        for (at, _) in prose.match_indices("](") {
            let link = prose[at + 2..].split(')').next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root.join(&file.path)
            } else {
                folder.join(path)
            };
            let there = target.exists()
                && (heading.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| headings(&text).any(|anchor| anchor == heading)));
            if !there {
                found.push((number, format!("`{link}`")));
            }
        }
    }
    found
}

/// Anchors as GitHub makes them: lower case, punctuation gone, spaces to dashes.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
}
