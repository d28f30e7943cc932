//! `splitter`: daemon and command line. See ARCHITECTURE.md for the way through the modules.

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dataplane;
pub mod model;
pub mod net;
pub mod object;
pub mod plan;
pub mod transition;
