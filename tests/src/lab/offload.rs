//! Turns offloads off: veth hands over unfinished checksums and oversized segments, which XDP would see as they are.

use anyhow::{Result, bail};

const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Turns off transmit checksums, TSO and GSO of an interface of the calling thread's namespace.
pub(super) fn disable(interface: &str) -> Result<()> {
    for command in [ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO] {
        set(interface, command)?;
    }
    Ok(())
}

fn set(interface: &str, command: u32) -> Result<()> {
    use std::os::fd::AsRawFd;
    let socket =
        std::net::UdpSocket::bind("[::]:0").or_else(|_| std::net::UdpSocket::bind("0.0.0.0:0"))?;
    let mut value = Value { command, data: 0 };
    // SAFETY: an all-zero `ifreq` is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        bail!("the interface name {interface:?} is too long");
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names an interface and points to a value that lives until the call returns.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } != 0 {
        bail!(
            "offload {command:#x} of {interface}: {}",
            std::io::Error::last_os_error()
        );
    }
    Ok(())
}
