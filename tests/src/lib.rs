//! What the suites run splitter in: a network of namespaces, servers, clients, and the demo that shows it all.

pub mod clients;
pub mod demo;
pub mod lab;
pub mod servers;
pub mod sizes;
pub mod weights;
