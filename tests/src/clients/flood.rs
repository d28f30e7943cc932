//! A flood: forged frames, written to the link as they are, as fast as it was asked for.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use etherparse::PacketBuilder;

use super::report::{Report, print};
use crate::cases::random::Random;

/// Frames handed to the kernel at once.
const BATCH: usize = 64;
/// First of the forged sources, of the range for benchmarks (RFC 2544): 17 bits of addresses that nobody has.
const SOURCES: u32 = u32::from_be_bytes([198, 18, 0, 0]);

/// What is forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Forgery {
    /// SYNs from random sources.
    Syns,
    /// ACKs from random sources, with random numbers.
    Acks,
    /// The two in turn.
    Both,
    /// SYNs and ACKs of 5-tuples in use, with random numbers.
    Replay,
}

/// A flood in the making.
pub struct Flood {
    /// What is forged.
    pub forgery: Forgery,
    /// Where to.
    pub to: SocketAddrV4,
    /// MAC of the host that steers.
    pub mac: [u8; 6],
    /// Whose 5-tuples [`Forgery::Replay`] repeats.
    pub client: Ipv4Addr,
    /// Their ports.
    pub ports: Vec<u16>,
    /// Frames in all.
    pub frames: u64,
    /// Frames a second, at most.
    pub per_second: u64,
}

/// Sends all, then says how many and in which time.
pub fn run(flood: &Flood) -> Result<()> {
    let link = Link::open("eth0")?;
    let mut random = Random(u64::from(std::process::id()));
    let begin = Instant::now();
    let mut sent = 0;
    while sent < flood.frames {
        let due = Duration::from_secs_f64(sent as f64 / flood.per_second as f64);
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            std::thread::sleep(early);
        }
        let batch = BATCH.min((flood.frames - sent) as usize) as u64;
        let frames = (sent..sent + batch)
            .map(|number| frame(flood, &mut random, number))
            .collect::<Result<Vec<_>>>()?;
        link.send(&frames)?;
        sent += batch;
    }
    let milliseconds = begin.elapsed().as_millis() as u64;
    print(&Report::Flood { sent, milliseconds });
    Ok(())
}

fn frame(flood: &Flood, random: &mut Random, number: u64) -> Result<Vec<u8>> {
    let syn = match flood.forgery {
        Forgery::Syns => true,
        Forgery::Acks => false,
        Forgery::Both | Forgery::Replay => number.is_multiple_of(2),
    };
    let (source, port) = if flood.forgery == Forgery::Replay {
        (flood.client, random.pick(&flood.ports))
    } else {
        let source = SOURCES | random.below(1 << 17) as u32;
        (Ipv4Addr::from(source), 1024 + random.below(64_000) as u16)
    };
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 0x77], flood.mac)
        .ipv4(source.octets(), flood.to.ip().octets(), 64)
        .tcp(port, flood.to.port(), random.number() as u32, 64_000);
    let builder = if syn {
        builder.syn()
    } else {
        builder.ack(random.number() as u32)
    };
    let mut bytes = Vec::with_capacity(builder.size(0));
    builder.write(&mut bytes, &[])?;
    Ok(bytes)
}

/// A packet socket on an interface.
struct Link(OwnedFd);

impl Link {
    fn open(interface: &str) -> Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: a system call with a terminated string, and one with numbers; both results are checked.
        let (index, fd) = unsafe {
            (
                libc::if_nametoindex(name.as_ptr()),
                libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0),
            )
        };
        ensure!(index > 0 && fd >= 0, "a packet socket on {interface}");
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address is of the size that is given.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of_val(&address) as u32,
            )
        };
        ensure!(bound == 0, "binding to {interface}");
        Ok(Self(socket))
    }

    /// Sends all frames; what the link has no room for is sent again.
    fn send(&self, frames: &[Vec<u8>]) -> Result<()> {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: a message header of zeros is one without address and control data.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut done = 0;
        while done < messages.len() {
            let rest = &mut messages[done..];
            // SAFETY: the headers and what they point to live until the call is over, and are as many as it is told.
            let sent = unsafe {
                libc::sendmmsg(self.0.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            if sent < 0 {
                let error = std::io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    return Err(error).context("sending frames");
                }
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            done += sent as usize;
        }
        Ok(())
    }
}
