//! The BPF object: built by `build.rs`, embedded here, so that one file is all that an edge host needs.

/// The object, aligned as its parser needs it. Its maps are named in `splitter_common::abi::maps`.
pub const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/splitter-ebpf"));

/// Name of the XDP program.
pub const INGRESS: &str = "splitter_ingress";

/// Name of the program at TC egress.
pub const EGRESS: &str = "splitter_egress";
