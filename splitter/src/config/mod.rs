//! The configuration file: text → [`Configuration`], or one error that says where, what was found and what is expected.

mod error;

use std::path::Path;

use crate::model::Configuration;

pub use error::ConfigError;

/// Reads and validates a file. Nothing of the host is looked at: see [`check_host`].
pub fn load(path: &Path) -> Result<Configuration, ConfigError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigError::at_start(&file, error.to_string(), "a readable file"))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| ConfigError::at_start(&file, "bytes that are not UTF-8", "UTF-8 text"))?;
    parse(&file, &text)
}

/// Validates `text`; `file_name` appears in errors.
pub fn parse(file_name: &str, text: &str) -> Result<Configuration, ConfigError> {
    let _ = text;
    Err(ConfigError::at_start(
        file_name,
        "nothing",
        "a configuration",
    ))
}

/// Judges what depends on the host: whether the interfaces exist, as `exists` says.
pub fn check_host(
    configuration: &Configuration,
    exists: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    for (index, name) in configuration.daemon.interfaces.iter().enumerate() {
        if !exists(name) {
            return Err(ConfigError {
                file: configuration.origin.file.clone(),
                line: 0,
                column: 0,
                key: format!("daemon.interfaces[{index}]"),
                found: format!("\"{name}\", which this host does not have"),
                expected: "the name of a network interface of this host".to_owned(),
            });
        }
    }
    Ok(())
}
