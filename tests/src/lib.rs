//! Namespaces, servers, clients and the suites that run splitter on a real kernel.

pub mod cases;
pub mod flow_owners;
