//! The steering: what becomes of a packet.

pub mod flow_table;
pub mod neighbour;
pub mod outcome;
pub mod packet;
pub mod parse;
pub mod reply;
pub mod tables;
pub mod transition;
