//! Headers and checksums.
