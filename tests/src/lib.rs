//! What the suites run splitter in: a network of namespaces, servers, clients, and the demo that shows it all.

mod alone;
pub mod cases;
pub mod clients;
pub mod demo;
pub mod flow_owners;
pub mod lab;
pub mod servers;
pub mod sizes;
pub mod weights;

pub use alone::alone;
