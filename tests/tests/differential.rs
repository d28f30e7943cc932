//! Random frames through the steering code on the host and in the kernel: the same verdict, the same bytes, the same
//! counters, the same flow table and stamps, the same traffic counts. And for each frame what [`property`] says: counted
//! once, untouched where it is not ours, and as right as it was where it is rewritten. `SPLITTER_FRAMES` (1,000,000) sets
//! how many, `SPLITTER_SEED` which.

use splitter::object::{EGRESS, INGRESS};
use splitter_common::abi::{Counter, Fragment, Stamps, Traffic, Verdict};
use splitter_common::datapath::flow_table::{Kind, Record, tick};
use splitter_common::datapath::packet::Packet as _;
use splitter_common::datapath::steer;
use splitter_tests::cases::bytes::Bytes;
use splitter_tests::cases::check::{Seen, digits, leave, verdict};
use splitter_tests::cases::kernel::{self, Kernel, SHORTEST, SHORTEST_AT_EGRESS};
use splitter_tests::cases::memory::Memory;
use splitter_tests::cases::property;
use splitter_tests::cases::random::{self, Random};
use splitter_tests::cases::spec::Hook;
use splitter_tests::cases::world::{SECOND, World};
use std::collections::BTreeMap;

/// Frames in one world, before a new one is made.
const BATCH: u64 = 100;
/// A world older than this is not used: its times come near their thresholds.
const STALE: u64 = 4 * SECOND;
/// Runs at the same time, each in a namespace of its own and with a seed of its own.
const PARTS: u64 = 2;

/// Times that each counter was counted.
type Counts = BTreeMap<&'static str, u64>;

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
    let frames = number("SPLITTER_FRAMES", 1_000_000);
    let seed = number("SPLITTER_SEED", 20_261_130);
    println!("SPLITTER_SEED={seed} SPLITTER_FRAMES={frames}");
    let parts: Vec<Counts> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..PARTS)
            .map(|part| scope.spawn(move || compare(frames.div_ceil(PARTS), seed, part)))
            .collect();
        let end = |part: std::thread::ScopedJoinHandle<Counts>| match part.join() {
            Ok(counts) => counts,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        parts.into_iter().map(end).collect()
    });
    let mut verdicts = Counts::new();
    for (name, count) in parts.into_iter().flatten() {
        *verdicts.entry(name).or_default() += count;
    }
    println!("{frames} frames agree: {verdicts:?}");
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
            "drop_flags",
            "drop_fragment_before_first",
            "drop_reverse_conflict",
            "drop_hairpin",
        ] {
            assert!(
                verdicts.get(name).is_some_and(|count| *count >= 20),
                "few {name}: {verdicts:?}"
            );
        }
    }
}

/// Compares so many frames, and gives what was counted.
fn compare(frames: u64, seed: u64, part: u64) -> Counts {
    let mut random = Random(seed.wrapping_add(part << 32));
    let mut kernel = Kernel::load().expect("the object");
    let mut verdicts = Counts::new();
    let mut done = 0;
    while done < frames {
        let made = kernel::now();
        let world = random::world(&mut random, made).expect("a world");
        kernel.fill(&world).expect("filled maps");
        let before = kernel.traffic(world.backends.len()).expect("traffic");
        let counters_before = kernel.counters().expect("counters");
        let memory = Memory::new(&world, made);
        let mut sent = vec![Traffic::default(); world.backends.len()];
        let mut counted = vec![0_u64; Counter::ALL.len()];
        let first = done;
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
            let flows = kernel.flows(world.flows.len());
            let stamps = kernel.stamps(world.stamps.len());
            memory.adopt(now, &flows, &stamps);
            let on_host = host(&world, &memory, &frame, hook, now);
            let (verdict, bytes) = in_kernel(&kernel, hook, &frame);
            let in_kernel = Seen {
                verdict,
                interface: None,
                bytes,
                // Compared for all frames of this world at once: reading them is what takes long.
                counted: on_host.counted.clone(),
                fragments: kernel.fragments().expect("notes of first fragments"),
                hairpins: kernel.hairpins().expect("calls"),
                reverse: kernel.reverse(world.reverse.len()),
                flows: kernel.flows(world.flows.len()),
                stamps: kernel.stamps(world.stamps.len()),
                clock: (now, kernel::now()),
            };
            let fault = difference(&on_host, &in_kernel).or_else(|| broken(&on_host, hook, &frame));
            if let Some(fault) = fault {
                panic!(
                    "SPLITTER_SEED={seed}: part {part}, frame {done}, {hook:?}: {fault}\n  in     {}\n  host   {:?} {:?} {}\n  kernel {:?} {}",
                    digits(&frame),
                    on_host.verdict,
                    on_host.counted,
                    digits(&on_host.bytes),
                    in_kernel.verdict,
                    digits(&in_kernel.bytes),
                );
            }
            memory.adopt_fragments(in_kernel.fragments);
            memory.adopt_nat(&in_kernel.reverse, &in_kernel.hairpins);
            for (backend, bytes, syn, handshake) in memory.traffic() {
                let sum = &mut sent[backend as usize];
                sum.packets += 1;
                sum.bytes += bytes;
                sum.syns += u64::from(syn);
                sum.handshakes += u64::from(handshake);
            }
            for counter in &on_host.counted {
                counted[*counter as usize] += 1;
                *verdicts.entry(counter.name()).or_default() += 1;
            }
            done += 1;
        }
        let where_ = format!("SPLITTER_SEED={seed}: part {part}, frames {first}..{done}");
        let counters_after = kernel.counters().expect("counters");
        let differ: Vec<String> = Counter::ALL
            .iter()
            .enumerate()
            .map(|(index, counter)| {
                let in_kernel = counters_after[index] - counters_before[index];
                (counter.name(), counted[index], in_kernel)
            })
            .filter(|(_, host, in_kernel)| host != in_kernel)
            .map(|(name, host, in_kernel)| format!("{name}: host {host}, kernel {in_kernel}"))
            .collect();
        assert!(differ.is_empty(), "{where_}: {differ:?}");
        let after = kernel.traffic(world.backends.len()).expect("traffic");
        for (index, sent) in sent.iter().enumerate() {
            let in_kernel = Traffic {
                packets: after[index].packets - before[index].packets,
                bytes: after[index].bytes - before[index].bytes,
                syns: after[index].syns - before[index].syns,
                handshakes: after[index].handshakes - before[index].handshakes,
            };
            assert_eq!(*sent, in_kernel, "{where_}: backend {index}");
        }
    }
    verdicts
}

/// Verdict and bytes after a run in the kernel.
fn in_kernel(kernel: &Kernel, hook: Hook, frame: &[u8]) -> (Verdict, Vec<u8>) {
    let program = match hook {
        Hook::Xdp => INGRESS,
        Hook::Egress => EGRESS,
    };
    let (returned, bytes) = kernel.run(program, frame).expect("a run");
    (verdict(hook, returned).expect("a known verdict"), bytes)
}

/// What does not hold of what the host made of a frame; the kernel made the same.
fn broken(seen: &Seen, hook: Hook, frame: &[u8]) -> Option<String> {
    match (hook, seen.counted.as_slice()) {
        (Hook::Xdp, counted) => property::broken(counted, seen.verdict, frame, &seen.bytes),
        // What leaves is counted only where it is a reply of ours.
        (Hook::Egress, []) => (frame != seen.bytes).then(|| "its bytes changed".into()),
        (Hook::Egress, _) => property::rewritten(false, frame, &seen.bytes).err(),
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
        reverse: memory.reverse(),
        hairpins: memory.hairpins(),
        fragments: memory.fragments(),
        clock: (now, now),
    }
}

/// What differs. The kernel ran a little later than the host, so what it wrote of the clock
/// lies between the host's time and the end of its run.
fn difference(host: &Seen, kernel: &Seen) -> Option<String> {
    let (from, to) = kernel.clock;
    if host.verdict != kernel.verdict {
        return Some("verdicts differ".into());
    }
    if host.bytes != kernel.bytes {
        return Some("bytes differ".into());
    }
    let stamped = |a: u64, b: u64| a == b || (a == from && (from..=to).contains(&b));
    let noted = host.fragments.iter().zip(&kernel.fragments).all(|(a, b)| {
        let (mine, theirs) = (a.1, b.1);
        let seen_ns = theirs.seen_ns;
        a.0 == b.0 && stamped(mine.seen_ns, seen_ns) && theirs == Fragment { seen_ns, ..mine }
    });
    if host.fragments.len() != kernel.fragments.len() || !noted {
        return Some(format!(
            "first fragments: host {:?}, kernel {:?}",
            host.fragments, kernel.fragments
        ));
    }
    let later = tick(to).wrapping_sub(tick(from)) + 1;
    let timeless = |seen: &Seen| {
        let mut calls = seen.hairpins.clone();
        calls.values_mut().for_each(|call| call.seen = 0);
        calls
    };
    if timeless(host) != timeless(kernel) {
        return Some(format!(
            "calls: host {:?}, kernel {:?}",
            host.hairpins, kernel.hairpins
        ));
    }
    // What is said of flow sets holds for sets of reverse records too, which come after them.
    let sets = |seen: &Seen| [seen.flows.as_slice(), seen.reverse.as_slice()].concat();
    for (set, (a, b)) in sets(host).iter().zip(&sets(kernel)).enumerate() {
        if b[0] >> 63 != 0 {
            return Some(format!("flow set {set} stays locked"));
        }
        for entry in [0, 2, 4, 6] {
            let mine = Record::unpack(a[entry], a[entry + 1]);
            let theirs = Record::unpack(b[entry], b[entry + 1]);
            if !same_record(mine, theirs, later) {
                return Some(format!("flow set {set}: host {mine:?}, kernel {theirs:?}"));
            }
        }
    }
    for (slot, (a, b)) in host.stamps.iter().zip(&kernel.stamps).enumerate() {
        let same = stamped;
        let Stamps {
            unlogged,
            bare_syn,
            foreign,
            ..
        } = *a;
        if !(same(unlogged, b.unlogged) && same(bare_syn, b.bare_syn) && same(foreign, b.foreign)) {
            return Some(format!(
                "stamps of slot {slot}: host {a:?}, kernel {b:?}, clock {from}..{to}"
            ));
        }
    }
    None
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
