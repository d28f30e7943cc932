//! The steering: what becomes of a packet.

pub mod flow_table;
pub mod tables;
pub mod transition;
