//! Every key that there is: what the reader accepts, and what `docs/configuration.md` is made of.

mod table;

use std::fmt::Write as _;

pub use table::KEYS;

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
    /// `[[service.route]]`.
    Route,
    /// `[[service.version]]`.
    Version,
    /// An entry of `backends`.
    Backend,
}

impl Section {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Root,
        Self::Daemon,
        Self::Service,
        Self::Drain,
        Self::Route,
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
            Self::Route => "`[[service.route]]`",
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

/// Keys and tables of later versions: refused with words of their own, since whoever writes them has read of them.
const LATER: &[(Section, &[&str])] = &[
    (Section::Daemon, &["metrics", "etcd", "dashboard"]),
    (
        Section::Service,
        &[
            "analysis",
            "confirm_within",
            "hairpin_source",
            "health",
            "on_unhealthy",
            "quic",
            "rollout",
            "slow_start",
            "tracking",
        ],
    ),
    (Section::Drain, &["deadline", "on_deadline"]),
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
                Unset::Required => "required".to_owned(),
                Unset::Value(value) => format!("`{value}`"),
                Unset::Words(words) => words.to_owned(),
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
