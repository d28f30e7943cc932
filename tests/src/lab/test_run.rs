//! Test runs of a program that is loaded: what the kernel does with one frame, without a link in between.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};

use super::bpf;

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;

/// `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    verdict: u32,
    frame_length: u32,
    out_length: u32,
    frame: u64,
    out: u64,
    repeat: u32,
    duration: u32,
    context_length: u32,
    context_out_length: u32,
    context: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// `struct xdp_md`.
#[repr(C)]
#[derive(Default)]
struct Metadata {
    data: u32,
    data_end: u32,
    data_meta: u32,
    interface: u32,
    queue: u32,
    egress: u32,
}

/// An XDP program of the kernel.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// What a program did with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `XDP_*`.
    pub verdict: u32,
    /// The frame as it left it.
    pub frame: Vec<u8>,
}

impl Program {
    /// The program with that id.
    pub fn by_id(mut id: u32) -> Result<Self> {
        Ok(Self(
            bpf::open(BPF_PROG_GET_FD_BY_ID, &mut id).with_context(|| format!("program {id}"))?,
        ))
    }

    /// Runs it once on a frame that came in on an interface of the calling thread's namespace.
    pub fn run(&self, frame: &[u8], interface: u32) -> Result<Outcome> {
        let mut out = vec![0_u8; frame.len() + 512];
        let context = Metadata {
            data_end: frame.len() as u32,
            interface,
            ..Metadata::default()
        };
        let mut run = TestRun {
            program: self.0.as_raw_fd() as u32,
            frame_length: frame.len() as u32,
            out_length: out.len() as u32,
            frame: frame.as_ptr() as u64,
            out: out.as_mut_ptr() as u64,
            repeat: 1,
            context_length: size_of::<Metadata>() as u32,
            context: std::ptr::from_ref(&context) as u64,
            ..TestRun::default()
        };
        bpf::call(BPF_PROG_TEST_RUN, &mut run).context("test run")?;
        out.truncate(run.out_length as usize);
        Ok(Outcome {
            verdict: run.verdict,
            frame: out,
        })
    }
}
