//! When a backend may be stopped.

/// How far the leaving of a backend has come. Advanced once a grace period, with what was read after it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStage {
    /// Slot words name it.
    Named,
    /// No word named it a grace period ago, so that no packet under way makes another record of it; records may live.
    Unnamed,
    /// No word and no live record names it: no flow is on it, it may be stopped and its number be used again.
    Drained,
}

impl DrainStage {
    /// The next stage. `named`: a slot word names it as base or current. `live_records`: how many records that are
    /// not expired name it, counted after the words were read. A grace period lies between two calls.
    #[must_use]
    pub const fn advance(self, named: bool, live_records: u64) -> Self {
        match self {
            _ if named => Self::Named,
            Self::Named => Self::Unnamed,
            // A record seen now cannot have been made by a run that began while a word named the backend.
            Self::Unnamed | Self::Drained if live_records == 0 => Self::Drained,
            Self::Unnamed | Self::Drained => Self::Unnamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DrainStage::{self, Drained, Named, Unnamed};

    #[test]
    fn stages() {
        for (from, named, records, to) in [
            (Named, true, 0, Named),
            // Records are not trusted before a grace period has passed without a word that names it.
            (Named, false, 0, Unnamed),
            (Unnamed, false, 1, Unnamed),
            (Unnamed, false, 0, Drained),
            (Unnamed, true, 0, Named),
            (Drained, false, 0, Drained),
            (Drained, true, 0, Named),
        ] {
            let found: DrainStage = from.advance(named, records);
            assert_eq!(found, to, "{from:?}, named {named}, {records} records");
        }
    }
}
