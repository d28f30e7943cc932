//! Headers and checksums.

pub mod checksum;
pub mod header;
