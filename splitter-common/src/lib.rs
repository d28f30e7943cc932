//! What the kernel and user space of `splitter` share. `no_std`, no allocation.
//!
//! * [`abi`]: every map's key and value, their sizes and names.
//! * [`hash`]: the keyed flow hash and the slot that it names.
//! * [`wire`]: packet headers and incremental checksums.
//! * [`datapath`]: the steering itself, generic over a packet and over the tables.
#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod datapath;
pub mod hash;
pub mod wire;
