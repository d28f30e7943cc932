//! What the suites share.

pub mod flow_owners;
