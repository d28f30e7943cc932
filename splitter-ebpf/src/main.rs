//! The programs of `splitter` in the kernel: adapters around `splitter_common::datapath`, which decides everything.
//!
//! * [`packet`]: a frame at XDP, the only pointer arithmetic on packets.
//! * [`maps`]: the maps, as the tables that steering reads and writes.
//! * [`egress`]: the program at TC egress, for replies of backends on this host.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod egress;
mod maps;
mod packet;

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX},
    helpers::bpf_redirect,
    macros::xdp,
    programs::XdpContext,
};
use splitter_common::abi::Verdict;
use splitter_common::datapath::packet::Packet as _;
use splitter_common::datapath::steer;

use crate::maps::Maps;
use crate::packet::Frame;

/// At XDP, on every interface where packets for services or replies of backends come in.
#[xdp(frags)]
fn splitter_ingress(context: XdpContext) -> u32 {
    let mut frame = Frame::new(context);
    let outcome = steer(&mut frame, &Maps);
    match outcome.counter.verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
        Verdict::Transmit | Verdict::Redirect => {
            if outcome.interface == frame.interface() {
                XDP_TX
            } else {
                // SAFETY: the helper takes two numbers, and reports a wrong one in the verdict that it returns.
                unsafe { bpf_redirect(outcome.interface, 0) as u32 }
            }
        }
    }
}

/// The licence that the kernel asks for before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Unreachable: the verifier would refuse the endless loop if a panic could happen.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
