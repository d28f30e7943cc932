//! A model of flows and owners: random schedules of clients, spoofers, backends and a daemon that is killed between
//! any two of its writes, driven through the real `choose` and the real steps of `splitter::transition`.
//!
//! The tables are in memory, and every access that a packet makes may first let other packets run to their end and
//! the daemon write a cell: so a run that loaded a slot's word acts on it while the world has moved on. The daemon
//! keeps the one rule that bounds this: it does not write a word while a run that read an older one is under way.
//!
//! The oracle knows what a load balancer cannot: which backend's SYN-ACK the client accepted. From then on every
//! packet of the flow that follows the last one within `T_idle` must reach that backend (`Pcc`), the handshake's own
//! packets too (`Birth`), and no backend may be called drained while such a flow is on it (`Drain`).
//!
//! UDP clients with `flows = "track"` have no handshake: the first datagram that is let through binds the flow.
//!
//! * `tables`: memory with a hook before each access, and the watch over evictions.
//! * `clients`: flows and what they expect; `datagrams`: those of UDP. `attack`: what spoofers send. `daemon`:
//!   rounds, kills, deaths, drains.
//! * `routes`: rows of slots that groups of clients come into and leave.
//! * `checks`: the invariants I1 to I5.
//! * `world`: time, and what happens next. `report`: what became of it.
//! * [`Mutant`]: the algorithm with one rule left out, to show that the model sees it.

mod attack;
mod checks;
mod clients;
mod daemon;
mod datagrams;
mod mutants;
mod random;
mod report;
mod routes;
mod tables;
mod world;

pub use mutants::Mutant;
pub use report::{Report, Violation};

use splitter_common::datapath::transition::Sound;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// TCP.
    Tcp,
    /// UDP with `flows = "track"`.
    Udp,
}

/// Runs the schedule of a seed with the sound rules.
pub fn run(seed: u64, wire: Wire) -> Report {
    world::World::<Sound>::new(seed, wire, None).run()
}

/// Runs the schedule of a seed with one rule left out.
pub fn run_mutant(seed: u64, wire: Wire, mutant: Mutant) -> Report {
    mutants::run(seed, wire, mutant)
}
