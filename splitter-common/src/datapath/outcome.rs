//! What becomes of a packet.

use crate::abi::Counter;

/// A verdict with its reason and, where the packet is forwarded, its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reason; says the verdict too.
    pub counter: Counter,
    /// Index of the interface on which a forwarded packet leaves; 0 for the other verdicts.
    pub interface: u32,
}

impl Outcome {
    /// A verdict that is not to forward.
    #[inline(always)]
    pub const fn stop(counter: Counter) -> Self {
        Self {
            counter,
            interface: 0,
        }
    }

    /// Out on `interface`.
    #[inline(always)]
    pub const fn forward(counter: Counter, interface: u32) -> Self {
        Self { counter, interface }
    }
}
