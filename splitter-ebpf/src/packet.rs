//! A frame at XDP.

use core::arch::asm;
use core::mem::zeroed;

use aya_ebpf::{
    bindings::{BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup},
    helpers::{
        bpf_fib_lookup as fib_lookup, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
        bpf_xdp_get_buff_len,
    },
    programs::XdpContext,
};
use splitter_common::abi::{Address, mapped};
use splitter_common::datapath::{packet::Packet, tables::NextHop};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Offsets beyond this are refused: the verifier must see a bound, and no header that is read begins later.
const MAX_OFFSET: usize = 0x3ff;

/// A frame and its context.
pub(crate) struct Frame {
    context: XdpContext,
    len: usize,
}

impl Frame {
    #[inline(always)]
    pub(crate) fn new(context: XdpContext) -> Self {
        // SAFETY: the context is the one that the kernel called the program with.
        let len = unsafe { bpf_xdp_get_buff_len(context.ctx) } as usize;
        Self { context, len }
    }

    /// Pointer to `N` bytes at `offset`, where the frame's linear part has them.
    ///
    /// In assembly, because the verifier must see a fresh `data`, the sum, and the comparison with `data_end` as they
    /// stand here: LLVM, which knows nothing of it, would merge loads, compare other sums, or move the check.
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<*mut u8> {
        if offset > MAX_OFFSET {
            return None;
        }
        let inside: u64;
        let pointer: *mut u8;
        // SAFETY: reads the two words of the context that hold `data` and `data_end`, and calculates; `pointer` is
        // used only where it and the `N - 1` bytes after it were found to lie between them.
        unsafe {
            asm!(
                "{end} = *(u32 *)({context} + 4)",
                "{pointer} = *(u32 *)({context} + 0)",
                "{offset} &= 0x3ff",
                "{pointer} += {offset}",
                "{offset} = {pointer}",
                "{offset} += {n}",
                "{inside} = 0",
                "if {offset} > {end} goto 1f",
                "{inside} = 1",
                "1:",
                context = in(reg) self.context.ctx,
                offset = inout(reg) offset => _,
                pointer = out(reg) pointer,
                end = out(reg) _,
                inside = out(reg) inside,
                n = const N,
                options(nostack, readonly),
            );
        }
        (inside != 0).then_some(pointer)
    }
}

/// `value`, of which the verifier knows no more than of `length`: nothing, where that is a frame's.
#[inline(always)]
pub(crate) fn forget(value: usize, length: usize) -> usize {
    let mut same = value;
    // SAFETY: calculates with two registers. The verifier knows nothing of the length, so it knows nothing of the result,
    // although the second operation undoes the first; LLVM, which would see through it, sees no instruction.
    unsafe {
        asm!(
            "{same} ^= {length}",
            "{same} ^= {length}",
            same = inout(reg) same,
            length = in(reg) length,
            options(pure, nomem, nostack),
        );
    }
    same
}

/// Bytes on the stack, aligned as the verifier asks of accesses by words there.
#[repr(align(8))]
struct Words<const N: usize>([u8; N]);

/// Copies `N` bytes, at most 40, by words.
///
/// In assembly, because packets are not aligned: LLVM would copy bytes, keep each in a register, and spill each to
/// eight bytes of stack. The verifier allows it for packets on processors that do (x86-64 does).
///
/// # Safety
///
/// `N` bytes must be readable at `from` and writable at `to`, and one of them must be of a [`Words`].
#[inline(always)]
unsafe fn copy<const N: usize>(from: *const u8, to: *mut u8) {
    const { assert!(N <= 40) };
    macro_rules! word {
        ($size:literal, $at:expr) => {
            // SAFETY: inside the N bytes, as the condition around it says.
            unsafe {
                asm!(
                    concat!("{word} = *(", $size, " *)({from} + {at})"),
                    concat!("*(", $size, " *)({to} + {at}) = {word}"),
                    word = out(reg) _,
                    from = in(reg) from,
                    to = in(reg) to,
                    at = const $at,
                    options(nostack, preserves_flags),
                )
            }
        };
    }
    if N >= 8 {
        word!("u64", 0);
    }
    if N >= 16 {
        word!("u64", 8);
    }
    if N >= 24 {
        word!("u64", 16);
    }
    if N >= 32 {
        word!("u64", 24);
    }
    if N >= 40 {
        word!("u64", 32);
    }
    if N & 4 != 0 {
        word!("u32", N & !7);
    }
    if N & 2 != 0 {
        word!("u16", N & !3);
    }
    if N & 1 != 0 {
        word!("u8", N & !1);
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let from = self.bytes::<N>(offset)?;
        let mut bytes = Words([0; N]);
        // SAFETY: `bytes` checked that N bytes follow, and N bytes are there to be written.
        unsafe { copy::<N>(from, bytes.0.as_mut_ptr()) };
        Some(bytes.0)
    }

    #[inline(always)]
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        let to = self.bytes::<N>(offset)?;
        let bytes = Words(bytes);
        // SAFETY: `bytes` checked that N bytes follow, and N bytes are there to be read.
        unsafe { copy::<N>(bytes.0.as_ptr(), to) };
        Some(())
    }

    #[inline(always)]
    fn forget(&self, value: usize) -> usize {
        forget(value, self.len)
    }

    #[inline(always)]
    fn grow_front(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the kernel's; the helper checks the room. Pointers into the frame are made anew at every
        // access, so none is used across it.
        let result = unsafe { bpf_xdp_adjust_head(self.context.ctx, -bytes) };
        if result != 0 {
            return None;
        }
        self.len = self.len.wrapping_add_signed(bytes as isize);
        Some(())
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) -> Option<()> {
        // SAFETY: as for `grow_front`.
        let result = unsafe { bpf_xdp_adjust_tail(self.context.ctx, len as i32 - self.len as i32) };
        if result != 0 {
            return None;
        }
        self.len = len;
        Some(())
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: the context is the one that the kernel called the program with.
        unsafe { (*self.context.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn route(
        &self,
        source: &Address,
        destination: &Address,
        protocol: u8,
        length: u16,
    ) -> Option<NextHop> {
        // SAFETY: plain numbers, for which zero is a value.
        let mut query: bpf_fib_lookup = unsafe { zeroed() };
        query.l4_protocol = protocol;
        query.ifindex = self.interface();
        query.__bindgen_anon_1.tot_len = length;
        let v4 = |a: &Address| u32::from_ne_bytes([a[12], a[13], a[14], a[15]]);
        if *destination
            == mapped([
                destination[12],
                destination[13],
                destination[14],
                destination[15],
            ])
        {
            query.family = AF_INET;
            query.__bindgen_anon_3.ipv4_src = v4(source);
            query.__bindgen_anon_4.ipv4_dst = v4(destination);
        } else {
            let word = |a: &Address, at: usize| {
                u32::from_ne_bytes([a[at], a[at + 1], a[at + 2], a[at + 3]])
            };
            let words = |a: &Address| [word(a, 0), word(a, 4), word(a, 8), word(a, 12)];
            query.family = AF_INET6;
            query.__bindgen_anon_3.ipv6_src = words(source);
            query.__bindgen_anon_4.ipv6_dst = words(destination);
        }
        // SAFETY: the context is the kernel's, the query lives on the stack and its size is given.
        let result = unsafe {
            fib_lookup(
                self.context.ctx.cast(),
                &raw mut query,
                size_of::<bpf_fib_lookup>() as i32,
                0,
            )
        };
        (result == i64::from(BPF_FIB_LKUP_RET_SUCCESS)).then_some(NextHop {
            interface: query.ifindex,
            destination_mac: query.dmac,
            source_mac: query.smac,
        })
    }
}
