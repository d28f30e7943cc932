//! The documentation of the configuration is true: `docs/configuration.md` says of every key what the reader does.
//!
//! `SPLITTER_BLESS=1` rewrites the tables of that file.

use std::fs;
use std::path::Path;

use splitter::config::{self, ConfigError, KEYS, Section, Unset};
use splitter::model::Configuration;

fn parse(text: &str) -> Result<Configuration, ConfigError> {
    config::parse("splitter.toml", text)
}

/// A document with the keys that must be written, and those of `more`, which take the place of keys of their name.
fn document(more: &[(Section, &str, &str)]) -> String {
    let required = [
        (Section::Daemon, "interfaces", "[\"eth0\"]"),
        (Section::Service, "name", "\"web\""),
        (Section::Service, "vip", "\"203.0.113.10\""),
        (Section::Service, "port", "443"),
        (Section::Service, "protocol", "\"tcp\""),
        (Section::Service, "mode", "\"dsr\""),
        (Section::Route, "clients", "[\"10.8.0.0/16\"]"),
        (Section::Route, "version", "\"blue\""),
        (Section::Version, "name", "\"blue\""),
        (Section::Backend, "address", "\"10.0.0.11\""),
    ];
    let kept = required
        .iter()
        .filter(|(section, name, _)| !more.iter().any(|(s, n, _)| (s, n) == (section, name)));
    let pairs: Vec<_> = kept.chain(more).collect();
    let of = |section: Section, separator: &str| -> String {
        let pairs = pairs.iter().filter(|(s, ..)| *s == section);
        pairs
            .map(|(_, name, value)| format!("{name} = {value}"))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let written =
        |section: Section, name: &str| more.iter().any(|(s, n, _)| (*s, *n) == (section, name));
    let unless = |section, name, table: String| {
        if written(section, name) {
            String::new()
        } else {
            table
        }
    };
    let backends = format!("backends = [{{ {} }}]\n", of(Section::Backend, ", "));
    [
        of(Section::Root, "\n"),
        unless(
            Section::Root,
            "daemon",
            format!("[daemon]\n{}", of(Section::Daemon, "\n")),
        ),
        unless(
            Section::Root,
            "service",
            format!("[[service]]\n{}", of(Section::Service, "\n")),
        ),
        unless(
            Section::Service,
            "drain",
            format!("[service.drain]\n{}", of(Section::Drain, "\n")),
        ),
        unless(
            Section::Service,
            "route",
            format!("[[service.route]]\n{}", of(Section::Route, "\n")),
        ),
        unless(
            Section::Service,
            "version",
            format!("[[service.version]]\n{}", of(Section::Version, "\n")),
        ),
        unless(
            Section::Version,
            "backends",
            unless(Section::Service, "version", backends),
        ),
    ]
    .join("\n")
}

/// The defaults that the documentation names are the ones in force.
#[test]
fn written_defaults_change_nothing() {
    let defaults: Vec<_> = KEYS
        .iter()
        .filter_map(|key| match key.default {
            Unset::Value(value) => Some((key.section, key.name, value)),
            _ => None,
        })
        .collect();
    let text = document(&defaults);
    assert!(
        defaults
            .iter()
            .all(|(_, name, value)| text.contains(&format!("{name} = {value}"))),
        "{text}"
    );
    assert_eq!(parse(&text), parse(&document(&[])), "{text}");
}

/// A value of a type that no key has is refused at every documented key: each is looked at.
#[test]
fn every_documented_key_is_read() {
    for key in KEYS {
        let mut text = document(&[(key.section, key.name, "1979-05-27")]);
        if (key.section, key.name) == (Section::Root, "service") {
            // Nothing of a service can stand beside it.
            text.truncate(
                text.find("[service.drain]")
                    .expect("a table of the service"),
            );
        }
        let error = parse(&text).expect_err("a broken document");
        let last = error.key.rsplit('.').next();
        assert_eq!(
            (last, error.found.as_str()),
            (Some(key.name), "1979-05-27"),
            "{error}\n{text}"
        );
    }
}

#[test]
fn the_documentation_lists_every_key() {
    const BEGIN: &str = "<!-- keys: begin (generated: SPLITTER_BLESS=1 cargo test -p splitter --test config_docs) -->\n";
    const END: &str = "<!-- keys: end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the begin mark");
    let (tables, after) = rest.split_once(END).expect("the end mark");
    if std::env::var_os("SPLITTER_BLESS").is_some_and(|value| value == "1") {
        fs::write(
            &path,
            format!("{before}{BEGIN}{}{END}{after}", config::reference()),
        )
        .unwrap();
    } else {
        assert_eq!(
            tables,
            config::reference(),
            "run SPLITTER_BLESS=1 cargo test -p splitter --test config_docs"
        );
    }
}

#[test]
fn the_example_in_the_documentation_is_good() {
    let text = include_str!("../../docs/configuration.md");
    let (_, rest) = text.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let configuration = parse(example).unwrap();
    assert_eq!(configuration.services.len(), 1);
}
