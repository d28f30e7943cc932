//! Random frames through the steering code on the host and in the kernel: the same verdict, the same bytes, the same
//! counter, the same flow table and stamps, the same traffic counts. `SPLITTER_FRAMES` (20,000) sets how many,
//! `SPLITTER_SEED` which.

use splitter_common::abi::Verdict;
use splitter_common::abi::{Stamps, Traffic};
use splitter_common::datapath::flow_table::{Kind, Record, tick};
use splitter_common::datapath::packet::Packet as _;
use splitter_common::datapath::steer;
use splitter_tests::cases::check::{Seen, digits, leave, run_in_kernel};
use splitter_tests::cases::kernel::{self, Kernel, SHORTEST, SHORTEST_AT_EGRESS};
use splitter_tests::cases::memory::{Bytes, Memory};
use splitter_tests::cases::random::{self, Random};
use splitter_tests::cases::spec::Hook;
use splitter_tests::cases::world::{SECOND, World};
use std::collections::BTreeMap;

/// Frames in one world, before a new one is made.
const BATCH: u64 = 50;
/// A world older than this is not used: its times come near their thresholds.
const STALE: u64 = 4 * SECOND;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn host_and_kernel_agree_on_random_frames() {
    let frames = number("SPLITTER_FRAMES", 20_000);
    let seed = number("SPLITTER_SEED", 20_261_130);
    println!("SPLITTER_SEED={seed} SPLITTER_FRAMES={frames}");
    let mut random = Random(seed);
    let mut kernel = Kernel::load().expect("the object");
    let mut verdicts = BTreeMap::new();
    let mut done = 0;
    while done < frames {
        let made = kernel::now();
        let world = random::world(&mut random, made).expect("a world");
        kernel.fill(&world).expect("filled maps");
        let before = kernel.traffic(world.backends.len()).expect("traffic");
        let memory = Memory::new(&world, made);
        let mut sent = vec![Traffic::default(); world.backends.len()];
        let end = done + BATCH.min(frames - done);
        while done < end && kernel::now() - made < STALE {
            let frame = random::frame(&mut random).expect("a frame");
            let hook = if random.once_in(8) {
                Hook::Egress
            } else {
                Hook::Xdp
            };
            let shortest = match hook {
                Hook::Xdp => SHORTEST,
                Hook::Egress => SHORTEST_AT_EGRESS,
            };
            if frame.len() < shortest {
                continue;
            }
            let now = kernel::now();
            let flows = kernel.flows(world.flows.len()).expect("flows");
            let stamps = kernel.stamps(world.stamps.len()).expect("stamps");
            memory.adopt(now, &flows, &stamps);
            let on_host = host(&world, &memory, &frame, hook, now);
            let mut in_kernel = run_in_kernel(&world, &frame, hook, &mut kernel).expect("a run");
            in_kernel.clock.0 = now;
            let difference = difference(&on_host, &in_kernel);
            assert!(
                difference.is_empty(),
                "SPLITTER_SEED={seed}: frame {done}, {hook:?}: {difference}\n  in     {}\n  host   {:?} {:?} {}\n  kernel {:?} {:?} {}",
                digits(&frame),
                on_host.verdict,
                on_host.counted,
                digits(&on_host.bytes),
                in_kernel.verdict,
                in_kernel.counted,
                digits(&in_kernel.bytes),
            );
            for (backend, bytes, syn, handshake) in memory.traffic() {
                let sum = &mut sent[backend as usize];
                sum.packets += 1;
                sum.bytes += bytes;
                sum.syns += u64::from(syn);
                sum.handshakes += u64::from(handshake);
            }
            for counter in &on_host.counted {
                *verdicts.entry(counter.name()).or_insert(0_u64) += 1;
            }
            done += 1;
        }
        let after = kernel.traffic(world.backends.len()).expect("traffic");
        for (index, sent) in sent.iter().enumerate() {
            let in_kernel = Traffic {
                packets: after[index].packets - before[index].packets,
                bytes: after[index].bytes - before[index].bytes,
                syns: after[index].syns - before[index].syns,
                handshakes: after[index].handshakes - before[index].handshakes,
            };
            assert_eq!(
                *sent, in_kernel,
                "SPLITTER_SEED={seed}: before frame {done}, backend {index}"
            );
        }
    }
    println!("{done} frames agree: {verdicts:?}");
    // A generator that only makes noise would agree too.
    if frames >= 10_000 {
        for name in [
            "forward_dsr",
            "forward_nat",
            "deliver_local",
            "reply_nat",
            "reply_local",
            "forward_icmp",
            "deliver_icmp",
            "reply_icmp",
            "answer_echo",
            "drop_handover",
            "drop_too_long",
        ] {
            assert!(
                verdicts.get(name).is_some_and(|count| *count >= 20),
                "few {name}: {verdicts:?}"
            );
        }
    }
}

fn host(world: &World, memory: &Memory, frame: &[u8], hook: Hook, now: u64) -> Seen {
    let mut packet = Bytes::new(world, 1, frame.to_vec());
    let verdict = match hook {
        Hook::Xdp => {
            let outcome = steer(&mut packet, memory);
            match outcome.counter.verdict() {
                Verdict::Transmit if outcome.interface != packet.interface() => Verdict::Redirect,
                verdict => verdict,
            }
        }
        Hook::Egress => leave(&mut packet, memory),
    };
    Seen {
        verdict,
        interface: None,
        bytes: packet.bytes,
        counted: memory.counted(),
        flows: memory.flows(),
        stamps: memory.stamps(),
        clock: (now, now),
    }
}

/// What differs; empty where nothing does. The kernel ran a little later than the host, so what it wrote of the clock
/// lies between the host's time and the end of its run.
fn difference(host: &Seen, kernel: &Seen) -> String {
    let (from, to) = kernel.clock;
    if host.verdict != kernel.verdict {
        return "verdicts differ".into();
    }
    if host.counted != kernel.counted {
        return "counters differ".into();
    }
    if host.bytes != kernel.bytes {
        return "bytes differ".into();
    }
    let later = tick(to).wrapping_sub(tick(from)) + 1;
    for (set, (a, b)) in host.flows.iter().zip(&kernel.flows).enumerate() {
        if b[0] >> 63 != 0 {
            return format!("flow set {set} stays locked");
        }
        for entry in [0, 2, 4, 6] {
            let mine = Record::unpack(a[entry], a[entry + 1]);
            let theirs = Record::unpack(b[entry], b[entry + 1]);
            if !same_record(mine, theirs, later) {
                return format!("flow set {set}: host {mine:?}, kernel {theirs:?}");
            }
        }
    }
    for (slot, (a, b)) in host.stamps.iter().zip(&kernel.stamps).enumerate() {
        let same = |a: u64, b: u64| a == b || (a == from && (from..=to).contains(&b));
        let Stamps {
            unlogged,
            bare_syn,
            foreign,
            ..
        } = *a;
        if !(same(unlogged, b.unlogged) && same(bare_syn, b.bare_syn) && same(foreign, b.foreign)) {
            return format!("stamps of slot {slot}: host {a:?}, kernel {b:?}, clock {from}..{to}");
        }
    }
    String::new()
}

fn same_record(host: Option<Record>, kernel: Option<Record>, later: u32) -> bool {
    let (Some(host), Some(kernel)) = (host, kernel) else {
        return host == kernel;
    };
    let low = match host.kind {
        Kind::Pending => 0,
        Kind::Learned | Kind::Confirmed => later,
    };
    kernel.deadline.wrapping_sub(host.deadline) <= later
        && kernel.low.wrapping_sub(host.low) <= low
        && kernel
            == Record {
                deadline: kernel.deadline,
                low: kernel.low,
                ..host
            }
}
