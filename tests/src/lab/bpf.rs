//! The `bpf` system call, as far as the lab needs it.

use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::Result;

/// Does a command that gives a descriptor.
pub(super) fn open<T>(command: libc::c_long, attributes: &mut T) -> Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the commands that this is for return a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Does a command. `attributes` are the head of `union bpf_attr` for it.
pub(super) fn call<T>(command: libc::c_long, attributes: &mut T) -> Result<i32> {
    // SAFETY: the kernel reads and writes no more than the size given, and callers keep alive what the attributes
    // point to.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(result as i32)
}
