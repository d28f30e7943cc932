//! Packet cases as data: each named case of `tests/data/cases/*.toml` runs through the steering code on the host and,
//! by `BPF_PROG_TEST_RUN`, through the loaded object in the kernel.
//!
//! * [`spec`]: what a case file says, and its instances (family × protocol × mode).
//! * [`cast`]: the named addresses and MACs that cases speak of.
//! * [`craft`]: bytes of a frame from its fields, checksums computed by `etherparse`.
//! * [`world`]: the contents of the tables in which a case runs.
//! * [`memory`]: tables, frames and leaving frames in memory, for the host.
//! * [`kernel`]: the object loaded in the kernel, in a namespace of its own.
//! * [`random`]: random worlds and frames, for the comparison of host and kernel.
//! * [`mutate`]: what is done to a sound frame, to make it one that is not.
//! * [`oracle`], [`property`]: what holds for every frame, by code that shares nothing with the steering.
//! * [`fuzz`]: the same for every input of a fuzzer.
//! * [`check`]: runs an instance in either place and says what differs from what was expected.

pub mod cast;
pub mod check;
pub mod craft;
pub mod fuzz;
pub mod icmp;
pub mod kernel;
pub mod memory;
pub mod mutate;
pub mod nat;
pub mod oracle;
pub mod property;
pub mod random;
pub mod spec;
mod window;
pub mod world;
