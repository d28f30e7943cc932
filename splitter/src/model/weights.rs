//! Weights of versions: shares of new flows, in basis points, that sum to 100 %.

/// Hundredths of a percent; 10,000 is everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(pub u16);

/// Shares of new flows by version, in the order of the service's versions; they sum to 10,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(pub Vec<BasisPoints>);

/// Why weights were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {}
