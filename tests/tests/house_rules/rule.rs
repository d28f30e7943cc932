//! What a rule is, and which paths are whose.

use std::path::Path;

use crate::source::Source;

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
pub(crate) fn product(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.ends_with(".rs")
        && !path.contains("/tests/")
        && file != "tests.rs"
        && !file.ends_with("_tests.rs")
}

pub(crate) fn daemon_and_cli(path: &str) -> bool {
    path.starts_with("splitter/src/") && product(path)
}

pub(crate) fn in_module(path: &str, module: &str) -> bool {
    path.starts_with(&format!("splitter/src/{module}/"))
        || path == format!("splitter/src/{module}.rs")
}

pub(crate) fn pure(path: &str) -> bool {
    product(path)
        && ["model", "plan", "transition"]
            .iter()
            .any(|module| in_module(path, module))
}
