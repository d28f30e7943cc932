//! Which socket the daemon answers at.

use std::io;
use std::path::{Path, PathBuf};

use super::Global;
use super::failure::Failure;

/// The daemon's socket where the configuration names none.
pub(super) const DEFAULT_SOCKET: &str = "/run/splitter/splitter.sock";

/// The socket that was given, else the one in the configuration file, else the default.
///
/// The file is read leniently: a fault elsewhere in it must not keep anybody from talking to a daemon that runs.
/// Only a file that was named on purpose has to exist.
pub(super) fn find(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(socket) = &global.socket {
        return Ok(socket.clone());
    }
    let file = global.config();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(named(&text).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))),
        Err(error) if global.config.is_some() => Err(unreadable(file, &error)),
        Err(_) => Ok(PathBuf::from(DEFAULT_SOCKET)),
    }
}

fn named(text: &str) -> Option<PathBuf> {
    let file: toml::Table = text.parse().ok()?;
    let socket = file.get("daemon")?.get("socket")?.as_str()?;
    Some(PathBuf::from(socket))
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("{}: cannot be read: {error}", file.display()))
}
