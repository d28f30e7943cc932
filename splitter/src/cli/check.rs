//! `splitter check [FILE]`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Global;
use super::failure::Failure;
use super::format::plural;
use super::output::{Output, Paint};
use crate::config;
use crate::model::Configuration;

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to validate [default: the configuration file].
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Do not ask whether this host has the interfaces: the file is for another one.
    #[arg(long)]
    no_host: bool,
}

/// What a valid configuration holds.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    services: usize,
    versions: usize,
    backends: usize,
    slots: u64,
    interfaces: Vec<String>,
    host_checked: bool,
}

pub(super) fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let file = it.file.as_deref().unwrap_or(global.config());
    let configuration = load(file, !it.no_host)?;
    let versions = || configuration.services.iter().flat_map(|s| &s.versions);
    let checked = Checked {
        file: file.to_owned(),
        services: configuration.services.len(),
        versions: versions().count(),
        backends: versions().map(|v| v.backends.len()).sum(),
        slots: configuration
            .services
            .iter()
            .map(|s| u64::from(s.slots))
            .sum(),
        interfaces: configuration.daemon.interfaces.clone(),
        host_checked: !it.no_host,
    };
    out.view(&checked, line)
}

/// Reads and validates a file, on request also against the host that this runs on.
pub(super) fn load(file: &Path, host: bool) -> Result<Configuration, Failure> {
    let refused = |error: config::ConfigError| Failure::Usage(error.to_string());
    let configuration = config::load(file).map_err(refused)?;
    if host {
        let exists = |name: &str| nix::net::if_::if_nametoindex(name).is_ok();
        config::check_host(&configuration, exists).map_err(refused)?;
    }
    Ok(configuration)
}

fn line(checked: &Checked, paint: Paint) -> String {
    let parts = [
        plural(checked.services as u64, "service"),
        plural(checked.versions as u64, "version"),
        plural(checked.backends as u64, "backend"),
        plural(checked.slots, "slot"),
    ];
    let interfaces = checked.interfaces.join(", ");
    let host = if checked.host_checked {
        ""
    } else {
        " (host not looked at)"
    };
    format!(
        "{}: {}, {}; interfaces {interfaces}{host}\n",
        checked.file.display(),
        paint.good("ok"),
        parts.join(", "),
    )
}
