//! The smallest XDP program, `return XDP_PASS`, for ends of veth pairs that are to receive what XDP transmits.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};

use super::bpf::open as bpf;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
/// `r0 = 2` (XDP_PASS); `exit`.
static PROGRAM: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    program: u64,
    license: u64,
    log: [u64; 3],
}

/// `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    interface: u32,
    attach: u32,
    flags: u32,
}

/// Attaches it to an interface of the calling thread's namespace; it stays while the descriptor is open.
pub(super) fn attach(interface: &str) -> Result<OwnedFd> {
    let index = nix::net::if_::if_nametoindex(interface).with_context(|| interface.to_owned())?;
    let mut load = Load {
        kind: BPF_PROG_TYPE_XDP,
        instructions: PROGRAM.len() as u32,
        program: PROGRAM.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 3],
    };
    let program = bpf(BPF_PROG_LOAD, &mut load).context("loading XDP_PASS")?;
    let mut link = Link {
        program: program.as_raw_fd() as u32,
        interface: index,
        attach: BPF_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    bpf(BPF_LINK_CREATE, &mut link).with_context(|| format!("attaching XDP_PASS to {interface}"))
}
