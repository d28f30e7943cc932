//! The configuration file: text → [`Configuration`], or one error that says where, what was found and what is expected.

mod across;
mod daemon;
mod error;
mod keys;
mod node;
mod ports;
mod routes;
mod service;
mod source;
mod values;
mod weights;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

use crate::model::{Configuration, Origin};
use across::Across;
use node::Table;
use source::Source;

pub use error::ConfigError;
pub use keys::{KEYS, Key, Section, Unset, reference};

/// Bytes of a file that are read: enough for a thousand services of a hundred backends.
const LARGEST_FILE: usize = 16 << 20;

/// Reads and validates a file. Nothing of the host is looked at: see [`check_host`].
pub fn load(path: &Path) -> Result<Configuration, ConfigError> {
    let file = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        ConfigError::at_start(
            &file,
            format!("an unreadable file ({error})"),
            "a readable file",
        )
    };
    let mut bytes = Vec::new();
    // A pipe or a device has no size to ask for.
    File::open(path)
        .and_then(|open| open.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > LARGEST_FILE {
        return Err(ConfigError::at_start(
            &file,
            "more than 16 MiB",
            "a file of at most 16 MiB",
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(&file, text),
        Err(error) => {
            let (good, bad) = bytes.split_at(error.valid_up_to());
            let text = std::str::from_utf8(good).expect("valid up to here");
            let source = Source { file: &file, text };
            let found = format!("the byte 0x{:02x}, which is not UTF-8", bad[0]);
            Err(source.error(good.len(), "", found, "UTF-8 text"))
        }
    }
}

/// Validates `text`; `file_name` appears in errors.
pub fn parse(file_name: &str, text: &str) -> Result<Configuration, ConfigError> {
    let source = Source {
        file: file_name,
        text,
    };
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        source.error(
            offset,
            "",
            format!("what TOML does not allow ({message})"),
            "a TOML document",
        )
    })?;
    let root = Table::root(&source, document.get_ref())?;
    let (daemon, interfaces) = daemon::read(&root)?;
    let mut across = Across::new(&daemon);
    let mut services = Vec::new();
    if let Some(list) = root.get("service") {
        for node in list.array("an array of tables [[service]]")? {
            services.push(service::read(&node, &mut across)?);
        }
    }
    Ok(Configuration {
        daemon,
        services,
        origin: Origin {
            file: file_name.to_owned(),
            interfaces,
        },
    })
}

/// Judges what depends on the host: whether the interfaces exist, as `exists` says.
pub fn check_host(
    configuration: &Configuration,
    exists: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    let origin = &configuration.origin;
    for (index, name) in configuration.daemon.interfaces.iter().enumerate() {
        if !exists(name) {
            let (line, column) = origin.interfaces.get(index).copied().unwrap_or((1, 1));
            return Err(ConfigError {
                file: origin.file.clone(),
                line,
                column,
                key: format!("daemon.interfaces[{index}]"),
                found: format!("{}, which this host does not have", node::quoted(name)),
                expected: "the name of a network interface of this host".to_owned(),
            });
        }
    }
    Ok(())
}
