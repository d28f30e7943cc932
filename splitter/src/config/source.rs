//! The text of a configuration, and places in it.

use super::ConfigError;

/// A file's name and text.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Line and column, from 1, of a byte offset; columns count characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// An error at a byte offset.
    pub(super) fn error(
        &self,
        offset: usize,
        key: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ConfigError {
        let (line, column) = self.position(offset);
        ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key: key.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}
