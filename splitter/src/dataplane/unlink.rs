//! Takes a pinned link off its interface at once: removing the pin alone does it some time later.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const BPF_OBJ_GET: libc::c_long = 7;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The attributes of both commands: `pathname` and `bpf_fd` of the one, `link_fd` (its first word) of the other.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    first: u64,
    second: u64,
}

fn bpf(command: libc::c_long, attributes: &Attributes) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads `size_of::<Attributes>()` bytes of a live structure, in which a path, where the command
    // takes one, is a string that lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Detaches the link that is pinned at `pin`; the pin stays.
pub(super) fn detach_link(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = Attributes {
        first: path.as_ptr() as u64,
        second: 0,
    };
    let raw = bpf(BPF_OBJ_GET, &get)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    let link = unsafe { OwnedFd::from_raw_fd(raw as i32) };
    // The descriptor is the first 32 bits.
    let mut words = [0_u32; 2];
    words[0] = link.as_raw_fd() as u32;
    let detach = Attributes {
        first: bytemuck::cast(words),
        second: 0,
    };
    bpf(BPF_LINK_DETACH, &detach).map(drop)
}
