//! TC egress: replies of backends on this host.
//!
//! Bytes are read and written by the kernel's helpers alone: they also reach what is not in the linear part of a packet
//! (so nothing has to be pulled into it), and they know whether a checksum is partial.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, TC_ACT_SHOT},
    helpers::generated::{
        bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_load_bytes,
        bpf_skb_store_bytes,
    },
    macros::classifier,
    programs::TcContext,
};
use splitter_common::abi::{Address, Verdict};
use splitter_common::datapath::packet::Packet;
use splitter_common::datapath::reply::{self, Egress};
use splitter_common::datapath::tables::NextHop;

use crate::maps::Maps;
use crate::packet::forget;

/// "The next program decides": TCX_NEXT, which the older attachment calls TC_ACT_UNSPEC.
const NEXT: i32 = -1;

/// At TC egress, on every interface where replies of backends on this host leave.
#[classifier]
fn splitter_egress(context: TcContext) -> i32 {
    let buffer = context.skb;
    let mut leaving = Leaving {
        skb: buffer.skb,
        len: buffer.len() as usize,
    };
    let outcome = reply::leave(&mut leaving, &Maps);
    match outcome.map(|outcome| outcome.counter.verdict()) {
        Some(Verdict::Drop) => TC_ACT_SHOT,
        Some(_) | None => NEXT,
    }
}

/// A packet on its way out.
struct Leaving {
    skb: *mut __sk_buff,
    len: usize,
}

impl Leaving {
    /// Stores bytes; the checksums are the caller's.
    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, bytes: &[u8; N]) -> Option<()> {
        // SAFETY: the kernel's own context, and N readable bytes; the helper checks the offset.
        let result = unsafe {
            bpf_skb_store_bytes(self.skb, offset as u32, bytes.as_ptr().cast(), N as u32, 0)
        };
        (result == 0).then_some(())
    }

    /// Corrects a transport checksum for `from` having become `to`; `flags` say what these are.
    #[inline(always)]
    fn l4(&mut self, checksum: usize, udp: bool, from: u64, to: u64, flags: u64) -> Option<()> {
        let flags = flags
            | if udp {
                u64::from(BPF_F_MARK_MANGLED_0)
            } else {
                0
            };
        // SAFETY: the kernel's own context; the helper checks the offset and the flags.
        let result = unsafe { bpf_l4_csum_replace(self.skb, checksum as u32, from, to, flags) };
        (result == 0).then_some(())
    }
}

impl Packet for Leaving {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the kernel's own context, and N writable bytes; the helper checks the offset.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                offset as u32,
                bytes.as_mut_ptr().cast(),
                N as u32,
            )
        };
        (result == 0).then_some(bytes)
    }

    #[inline(always)]
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        self.store(offset, &bytes)
    }

    #[inline(always)]
    fn forget(&self, value: usize) -> usize {
        forget(value, self.len)
    }

    /// Not at TC egress.
    #[inline(always)]
    fn grow_front(&mut self, _: i32) -> Option<()> {
        None
    }

    /// Not at TC egress.
    #[inline(always)]
    fn set_len(&mut self, _: usize) -> Option<()> {
        None
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: the kernel's own context.
        unsafe { (*self.skb).ifindex }
    }

    /// A packet that leaves has been routed.
    #[inline(always)]
    fn route(&self, _: &Address, _: &Address, _: u8, _: u16) -> Option<NextHop> {
        None
    }
}

impl Egress for Leaving {
    #[inline(always)]
    fn replace_v4(
        &mut self,
        offset: usize,
        l3_checksum: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): ([u8; 4], [u8; 4]),
    ) -> Option<()> {
        let (from, to) = (
            u64::from(u32::from_ne_bytes(old)),
            u64::from(u32::from_ne_bytes(new)),
        );
        if l4_checksum != 0 {
            self.l4(l4_checksum, udp, from, to, u64::from(BPF_F_PSEUDO_HDR) | 4)?;
        }
        // SAFETY: the kernel's own context; the helper checks the offset.
        let result = unsafe { bpf_l3_csum_replace(self.skb, l3_checksum as u32, from, to, 4) };
        if result != 0 {
            return None;
        }
        self.store(offset, &new)
    }

    #[inline(always)]
    fn replace_v6(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): (&Address, &Address),
    ) -> Option<()> {
        if l4_checksum == 0 {
            return self.store(offset, new);
        }
        // Copies on the stack: aligned as the helper's words ask.
        let from = words(old);
        let mut to = words(new);
        // SAFETY: two arrays of 16 readable bytes.
        let difference = unsafe {
            bpf_csum_diff(
                from.as_ptr().cast_mut(),
                size_of_val(&from) as u32,
                to.as_mut_ptr(),
                size_of_val(&to) as u32,
                0,
            )
        };
        if difference < 0 {
            return None;
        }
        let flags = u64::from(BPF_F_PSEUDO_HDR);
        self.l4(l4_checksum, udp, 0, difference as u64, flags)?;
        self.store(offset, new)
    }

    #[inline(always)]
    fn replace_port(
        &mut self,
        offset: usize,
        l4_checksum: usize,
        udp: bool,
        (old, new): (u16, u16),
    ) -> Option<()> {
        let (from, to) = (u64::from(old.to_be()), u64::from(new.to_be()));
        self.l4(l4_checksum, udp, from, to, 2)?;
        self.store(offset, &new.to_be_bytes())
    }
}

#[inline(always)]
fn words(a: &Address) -> [u32; 4] {
    let word = |at: usize| u32::from_ne_bytes([a[at], a[at + 1], a[at + 2], a[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}
