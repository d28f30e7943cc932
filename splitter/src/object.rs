//! The BPF object.

/// The object.
pub static OBJECT: &[u8] = &[];
/// Name of the XDP program.
pub const XDP_PROGRAM: &str = "splitter";
/// Name of the TC program.
pub const TC_PROGRAM: &str = "splitter_egress";
