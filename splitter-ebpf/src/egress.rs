//! TC egress.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};

/// At TC egress, on every interface where replies of backends on this host leave.
#[classifier]
fn splitter_egress(_context: TcContext) -> i32 {
    TC_ACT_UNSPEC
}
