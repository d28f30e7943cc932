//! Keyed hash.
