//! Where things are: the daemon's socket and its pins.

use std::path::PathBuf;

use super::Global;
use super::failure::Failure;

/// The daemon's socket where the configuration names none.
const DEFAULT_SOCKET: &str = "/run/splitter/splitter.sock";
/// The folder of pins where the configuration names none.
const DEFAULT_BPFFS: &str = "/sys/fs/bpf/splitter";

/// The socket that was given, else the one in the configuration file, else the default.
pub(super) fn socket(global: &Global) -> Result<PathBuf, Failure> {
    match &global.socket {
        Some(socket) => Ok(socket.clone()),
        None => setting(global, "socket", DEFAULT_SOCKET),
    }
}

/// The folder of pins in the configuration file, else the default.
pub(super) fn bpffs(global: &Global) -> Result<PathBuf, Failure> {
    setting(global, "bpffs", DEFAULT_BPFFS)
}

/// A path that the configuration file may set under `[daemon]`.
///
/// The file is read leniently: a fault elsewhere in it must not keep anybody from talking to a daemon that runs, or
/// from taking the program off. Only a file that was named on purpose has to exist.
fn setting(global: &Global, key: &str, default: &str) -> Result<PathBuf, Failure> {
    let file = global.config();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(PathBuf::from(
            named(&text, key).as_deref().unwrap_or(default),
        )),
        Err(error) if global.config.is_some() => Err(Failure::Usage(format!(
            "{}: cannot be read: {error}",
            file.display()
        ))),
        Err(_) => Ok(PathBuf::from(default)),
    }
}

fn named(text: &str, key: &str) -> Option<String> {
    let file: toml::Table = text.parse().ok()?;
    file.get("daemon")?.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_setting_is_found_whatever_else_is_wrong() {
        let text = "[daemon]\nsocket = \"/tmp/s\"\nunknown = 1\n[[service]]\nport = 0\n";
        assert_eq!(named(text, "socket").as_deref(), Some("/tmp/s"));
        assert_eq!(named(text, "bpffs"), None);
        assert_eq!(named("[daemon]\nsocket = 7\n", "socket"), None);
        assert_eq!(named("not toml", "socket"), None);
    }
}
