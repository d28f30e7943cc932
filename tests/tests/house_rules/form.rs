//! How files look and what they say.

use crate::links::dead_links;
use crate::rule::{Rule, in_module, product, pure};
use crate::source::has_phrase;

const TOO_LONG: &str = match std::str::from_utf8(&[b'\n'; 451]) {
    Ok(text) => text,
    Err(_) => panic!("line feeds are UTF-8"),
};

pub(crate) const RULES: &[Rule] = &[
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
            // What the rule looks for, and the planted breaches below: taken apart, so that whoever searches the tree for
            // what is left open does not find the rule against it.
            let mut found = file.with_phrase(&[
                concat!("to", "do!"),
                concat!("unimple", "mented!"),
                concat!("#[", "ignore"),
                concat!("allow(", "dead_code"),
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
            ("splitter/src/daemon/mod.rs", concat!("to", "do!()")),
            (
                "tests/tests/x.rs",
                concat!("#[", "ignore]\n#[test]\nfn f() {}"),
            ),
            ("splitter/src/daemon/mod.rs", concat!("// FIX", "ME: later")),
            (
                "splitter/src/daemon/mod.rs",
                concat!("#[", "allow(dead_code)]\nfn f() {}"),
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
