//! Values and tables of a document that know where they stand.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::source::Source;
use super::{ConfigError, keys::Section};

/// A value, its key's path and its place.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) path: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    fn new(source: &'a Source<'a>, path: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            source,
            path,
            span: value.span(),
            value: value.get_ref(),
        }
    }

    pub(super) fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// An error about this value.
    pub(super) fn refuse(
        &self,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ConfigError {
        self.source
            .error(self.span.start, self.path.clone(), found, expected)
    }

    /// An error about this value as it stands there.
    pub(super) fn not(&self, expected: impl Into<String>) -> ConfigError {
        self.refuse(self.shown(), expected)
    }

    /// The value as errors show it.
    pub(super) fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => quoted(text),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            DeValue::Boolean(boolean) => boolean.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            DeValue::Array(items) if items.is_empty() => "an empty array".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(super) fn string(&self, expected: &str) -> Result<&'a str, ConfigError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.not(expected)),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.not("true or false")),
        }
    }

    /// An integer within bounds; `expected` says them.
    pub(super) fn integer(
        &self,
        bounds: RangeInclusive<u32>,
        expected: &str,
    ) -> Result<u32, ConfigError> {
        let DeValue::Integer(integer) = self.value else {
            return Err(self.not(expected));
        };
        i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| self.not(expected))
    }

    /// The decimal text of a number, with no rounding in between.
    pub(super) fn number(&self, expected: &str) -> Result<&'a str, ConfigError> {
        match self.value {
            DeValue::Integer(integer) if integer.radix() == 10 => Ok(integer.as_str()),
            DeValue::Float(float) => Ok(float.as_str()),
            _ => Err(self.not(expected)),
        }
    }

    pub(super) fn array(&self, expected: &str) -> Result<Vec<Node<'a>>, ConfigError> {
        let DeValue::Array(items) = self.value else {
            return Err(self.not(expected));
        };
        let node = |(index, item)| Node::new(self.source, format!("{}[{index}]", self.path), item);
        Ok(items.iter().enumerate().map(node).collect())
    }

    /// A table of which every key belongs to `section`.
    pub(super) fn table(&self, section: Section) -> Result<Table<'a>, ConfigError> {
        let table = self.open_table("a table")?;
        table.only_known_keys(section)?;
        Ok(table)
    }

    /// A table whose keys are names that the user chose.
    pub(super) fn open_table(&self, expected: &str) -> Result<Table<'a>, ConfigError> {
        match self.value {
            DeValue::Table(entries) => Ok(Table {
                source: self.source,
                path: self.path.clone(),
                start: self.span.start,
                entries,
            }),
            _ => Err(self.not(expected)),
        }
    }
}

/// A table, its path and its place.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    path: String,
    start: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The document as a whole.
    pub(super) fn root(
        source: &'a Source<'a>,
        entries: &'a DeTable<'a>,
    ) -> Result<Self, ConfigError> {
        let root = Self {
            source,
            path: String::new(),
            start: 0,
            entries,
        };
        root.only_known_keys(Section::Root)?;
        Ok(root)
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (_, value) = self
            .entries
            .iter()
            .find(|(name, _)| name.get_ref() == key)?;
        Some(Node::new(self.source, self.path_of(key), value))
    }

    pub(super) fn require(&self, key: &str, expected: &str) -> Result<Node<'a>, ConfigError> {
        self.get(key).ok_or_else(|| self.missing(key, expected))
    }

    /// An error about a key that is not there.
    pub(super) fn missing(&self, key: &str, expected: &str) -> ConfigError {
        self.source
            .error(self.start, self.path_of(key), "nothing", expected)
    }

    /// Keys and values in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, value)| {
                let node = Node::new(self.source, self.path_of(key.get_ref()), value);
                (key.span().start, key.get_ref().as_ref(), node)
            })
            .collect();
        entries.sort_by_key(|(start, ..)| *start);
        entries
            .into_iter()
            .map(|(_, key, node)| (key, node))
            .collect()
    }

    fn path_of(&self, key: &str) -> String {
        let key = if keys::is_bare(key) {
            key.to_owned()
        } else {
            quoted(key)
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn only_known_keys(&self, section: Section) -> Result<(), ConfigError> {
        let first_unknown = self
            .entries
            .keys()
            .filter(|key| !keys::known(section).any(|known| known == key.get_ref()))
            .min_by_key(|key| key.span().start);
        let Some(key) = first_unknown else {
            return Ok(());
        };
        let name = key.get_ref();
        let (found, expected) = if keys::is_later(section, name) {
            let found = format!(
                "key {}, which is not supported by this version",
                quoted(name)
            );
            (found, "no such key".to_owned())
        } else {
            (
                format!("unknown key {}", quoted(name)),
                keys::nearest(section, name),
            )
        };
        Err(self
            .source
            .error(key.span().start, self.path_of(name), found, expected))
    }
}

/// Text in quotes, escaped and cut to what fits into an error.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        format!("\"{}\"", text.escape_debug())
    } else {
        let shown: String = text.chars().take(SHOWN).collect();
        format!(
            "\"{}…\" ({} characters)",
            shown.escape_debug(),
            text.chars().count()
        )
    }
}
