//! Runs an instance on the host or in the kernel and says what differs from what was expected.

use super::cast::INGRESS;
use super::craft::{Frame, balance, craft};
use super::icmp;
use super::kernel::{self, Kernel};
use super::memory::{Bytes, Memory};
use super::nat;
use super::spec::{Hook, Instance, Note, Record, Way};
use super::world::{SECOND, World, flow, fragment_key, note, pack};
use anyhow::{Context, Result, bail, ensure};
use splitter::object;
use splitter_common::abi::{Counter, Fragment, FragmentKey, Hairpin, HairpinKey, Stamps, Verdict};
use splitter_common::datapath::flow_table::{Record as Packed, tick};
use splitter_common::datapath::reply::{self, Egress};
use splitter_common::datapath::steer;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// What the host's clock says in every case.
const HOST_NOW: u64 = 1_000_000 * SECOND;
/// What `bpf_redirect` makes a program return, and the other verdicts of XDP.
const XDP: [(u32, Verdict); 4] = [
    (1, Verdict::Drop),
    (2, Verdict::Pass),
    (3, Verdict::Transmit),
    (4, Verdict::Redirect),
];
/// The verdicts of TC: "the next program decides", and a drop.
const TC: [(u32, Verdict); 2] = [(u32::MAX, Verdict::Pass), (2, Verdict::Drop)];

/// What became of a frame.
#[derive(Debug)]
pub struct Seen {
    /// What the kernel was told to do.
    pub verdict: Verdict,
    /// The interface on which a forwarded frame left, where it can be seen: not in the kernel.
    pub interface: Option<u32>,
    /// The frame afterwards.
    pub bytes: Vec<u8>,
    /// What was counted.
    pub counted: Vec<Counter>,
    /// The flow table afterwards.
    pub flows: Vec<[u64; 8]>,
    /// The stamps afterwards.
    pub stamps: Vec<Stamps>,
    /// The reverse records afterwards.
    pub reverse: Vec<[u64; 8]>,
    /// The calls that come back to their link, afterwards.
    pub hairpins: BTreeMap<HairpinKey, Hairpin>,
    /// What is noted of first fragments.
    pub fragments: Vec<(FragmentKey, Fragment)>,
    /// The clock before and after the run.
    pub clock: (u64, u64),
}

/// An instance made ready: its world, its frame, and the frame that is expected.
pub struct Prepared {
    /// The tables before.
    pub world: World,
    /// The frame that comes in.
    pub frame: Vec<u8>,
    expected: Vec<u8>,
    counter: Option<Counter>,
    via: Option<u32>,
    pub(super) now: u64,
    /// Hash and slot of the frame's flow, where it has one.
    pub(super) flow: Option<(u64, usize)>,
}

impl Prepared {
    /// Makes an instance ready for a run at `now`.
    pub fn new(instance: &Instance, now: u64) -> Result<Self> {
        let mut world = World::of(instance, now)?;
        let case = &instance.case;
        let (family, protocol) = (instance.family, instance.protocol);
        let mut input = case.frame.clone();
        let mut output = input.clone();
        let expectation = expectation(instance, &world, &frame(&input)?)?;
        icmp::merge(&mut output, expectation.changes);
        if let Some((side, wanted)) = &case.balance {
            let side = frame(if side == "in" { &input } else { &output })?;
            let word = i64::from(balance(&side, family, protocol, *wanted)?);
            input.insert("word".into(), Value::Integer(word));
            output.insert("word".into(), Value::Integer(word));
        }
        let bytes = craft(&frame(&input)?, family, protocol)?;
        let subject = match icmp::subject(&frame(&input)?)? {
            Some(subject) => craft(&subject, family, protocol)?,
            None => bytes.clone(),
        };
        let flow = flow(&world, &subject);
        let hash = flow.map(|(hash, _)| hash);
        nat::name_port(&mut output, hash);
        let expected = craft(&frame(&output)?, family, protocol)?;
        if let Some(found) = &case.fragment {
            let entry = (fragment_key(&world, &bytes), note(&world, found, now)?);
            world.fragments.push(entry);
        }
        for (index, record) in case.records.iter().enumerate() {
            let hash = flow.context("records need a flow")?.0;
            let (a, b) = pack(record, hash, &world, now)?;
            world.flows[0].words[2 * index] = a;
            world.flows[0].words[2 * index + 1] = b;
        }
        nat::fill(instance, &mut world, hash, now)?;
        Ok(Self {
            world,
            frame: bytes,
            expected,
            counter: expectation.counter,
            via: expectation.via,
            now,
            flow,
        })
    }

    /// Fails where what was seen is not what was expected.
    pub fn judge(&self, instance: &Instance, seen: &Seen) -> Result<()> {
        let case = &instance.case;
        let counted: Vec<Counter> = self.counter.into_iter().collect();
        ensure!(
            seen.counted == counted,
            "counted {:?}, expected {counted:?}",
            names(&seen.counted)
        );
        let verdict = match (self.counter, self.via) {
            (Some(counter), Some(via)) if counter.verdict() == Verdict::Transmit => {
                if via == INGRESS {
                    Verdict::Transmit
                } else {
                    Verdict::Redirect
                }
            }
            (Some(counter), _) => counter.verdict(),
            (None, _) => Verdict::Pass,
        };
        ensure!(
            seen.verdict == verdict,
            "verdict {:?}, expected {verdict:?}",
            seen.verdict
        );
        if let (Some(seen), Some(via)) = (seen.interface, self.via) {
            ensure!(seen == via, "left on interface {seen}, expected {via}");
        }
        ensure!(
            seen.bytes == self.expected,
            "frame differs\n  in       {}\n  out      {}\n  expected {}",
            digits(&self.frame),
            digits(&seen.bytes),
            digits(&self.expected)
        );
        self.judge_fragment(case.fragment_after.as_ref(), seen)?;
        self.judge_records(case.records_after.as_deref(), seen)?;
        self.judge_stamps(&case.stamped, seen)?;
        nat::judge(instance, self, seen)
    }

    fn judge_fragment(&self, after: Option<&Note>, seen: &Seen) -> Result<()> {
        let Some(after) = after else {
            ensure!(
                seen.fragments == self.world.fragments,
                "notes of first fragments changed: {:?}",
                seen.fragments
            );
            return Ok(());
        };
        let [(key, found)] = seen.fragments.as_slice() else {
            bail!(
                "expected one note of a first fragment, found {:?}",
                seen.fragments
            );
        };
        ensure!(
            (seen.clock.0..=seen.clock.1).contains(&found.seen_ns),
            "noted at {}, expected now",
            found.seen_ns
        );
        let mut expected = Fragment {
            seen_ns: found.seen_ns,
            ..note(&self.world, after, self.now)?
        };
        if after.end.is_none() {
            expected.end = found.end;
        }
        ensure!(
            *key == fragment_key(&self.world, &self.frame) && *found == expected,
            "noted {found:?}, expected {expected:?}"
        );
        Ok(())
    }

    fn judge_records(&self, after: Option<&[Record]>, seen: &Seen) -> Result<()> {
        let Some(after) = after else {
            ensure!(
                seen.flows[0] == self.world.flows[0].words,
                "the flow table changed: {:?}",
                unpack(&seen.flows[0])
            );
            return Ok(());
        };
        let hash = self.flow.context("records need a flow")?.0;
        let mut found = unpack(&seen.flows[0]);
        for record in after {
            // One of age 0 was made or refreshed in the run, at a time that only the program knows.
            let times: Vec<u64> = if record.age == 0 {
                (tick(seen.clock.0)..=tick(seen.clock.1))
                    .map(|now| u64::from(now) << 24)
                    .collect()
            } else {
                vec![self.now]
            };
            let mut at = None;
            for now in times {
                let (a, b) = pack(record, hash, &self.world, now)?;
                let wanted = Packed::unpack(a, b).context("a free entry")?;
                at = at.or(found.iter().position(|packed| {
                    // The deadline counts from the time before it was rounded to ticks: up to one tick later.
                    let later = packed.deadline.wrapping_sub(wanted.deadline);
                    let deadline = wanted.deadline;
                    later <= u32::from(record.age == 0)
                        && Packed {
                            deadline,
                            ..*packed
                        } == wanted
                }));
            }
            let Some(at) = at else {
                bail!("no record {record:?} among {found:?}");
            };
            found.remove(at);
        }
        ensure!(found.is_empty(), "records too many: {found:?}");
        Ok(())
    }

    fn judge_stamps(&self, stamped: &[String], seen: &Seen) -> Result<()> {
        for (index, (before, after)) in self.world.stamps.iter().zip(&seen.stamps).enumerate() {
            let own = self.flow.is_some_and(|(_, slot)| slot == index);
            for (name, before, after) in [
                ("unlogged", before.unlogged, after.unlogged),
                ("bare_syn", before.bare_syn, after.bare_syn),
                ("foreign", before.foreign, after.foreign),
            ] {
                if own && stamped.iter().any(|stamp| stamp == name) {
                    ensure!(
                        (seen.clock.0..=seen.clock.1).contains(&after),
                        "stamp {name} is {after}, expected now, {:?}",
                        seen.clock
                    );
                } else {
                    ensure!(before == after, "stamp {name} of slot {index} changed");
                }
            }
        }
        Ok(())
    }

    /// Runs on the host.
    pub fn on_host(&self, hook: Hook) -> Seen {
        let memory = Memory::new(&self.world, self.now);
        let mut packet = Bytes::new(&self.world, INGRESS, self.frame.clone());
        let (verdict, interface) = match hook {
            Hook::Xdp => {
                let outcome = steer(&mut packet, &memory);
                match outcome.counter.verdict() {
                    Verdict::Transmit if outcome.interface != INGRESS => {
                        (Verdict::Redirect, Some(outcome.interface))
                    }
                    verdict => (verdict, Some(outcome.interface).filter(|index| *index != 0)),
                }
            }
            Hook::Egress => (leave(&mut packet, &memory), None),
        };
        Seen {
            verdict,
            interface,
            bytes: packet.bytes,
            counted: memory.counted(),
            flows: memory.flows(),
            stamps: memory.stamps(),
            reverse: memory.reverse(),
            hairpins: memory.hairpins(),
            fragments: memory.fragments(),
            clock: (self.now, self.now),
        }
    }

    /// Runs in the kernel.
    pub fn in_kernel(&self, hook: Hook, kernel: &mut Kernel) -> Result<Seen> {
        kernel.fill(&self.world)?;
        run_in_kernel(&self.world, &self.frame, hook, kernel)
    }
}

/// Runs a frame in the kernel, whose tables are filled from `world`.
pub fn run_in_kernel(world: &World, frame: &[u8], hook: Hook, kernel: &mut Kernel) -> Result<Seen> {
    let before = kernel.counters()?;
    let start = kernel::now();
    let (returned, bytes) = match hook {
        Hook::Xdp => kernel.run(object::INGRESS, frame)?,
        Hook::Egress => kernel.run(object::EGRESS, frame)?,
    };
    let end = kernel::now();
    let verdict = verdict(hook, returned)?;
    let mut counted = Vec::new();
    for ((counter, before), after) in Counter::ALL.iter().zip(before).zip(kernel.counters()?) {
        counted.extend(std::iter::repeat_n(*counter, (after - before) as usize));
    }
    Ok(Seen {
        verdict,
        interface: None,
        bytes,
        counted,
        reverse: kernel.reverse(world.reverse.len()),
        hairpins: kernel.hairpins()?,
        flows: kernel.flows(world.flows.len()),
        stamps: kernel.stamps(world.stamps.len()),
        fragments: kernel.fragments()?,
        clock: (start, end),
    })
}

/// The verdict that a program of that hook returned as a number.
pub fn verdict(hook: Hook, returned: u32) -> Result<Verdict> {
    let verdicts = match hook {
        Hook::Xdp => XDP.as_slice(),
        Hook::Egress => TC.as_slice(),
    };
    verdicts
        .iter()
        .find_map(|(code, verdict)| (*code == returned).then_some(*verdict))
        .with_context(|| format!("the program returned {returned}"))
}

/// What a leaving packet's program tells the kernel, on the host.
pub fn leave<E: Egress>(packet: &mut E, memory: &Memory) -> Verdict {
    match reply::leave(packet, memory) {
        Some(outcome) => outcome.counter.verdict(),
        None => Verdict::Pass,
    }
}

/// Runs an instance on the host.
pub fn host(instance: &Instance) -> Result<()> {
    let prepared = Prepared::new(instance, HOST_NOW)?;
    prepared.judge(instance, &prepared.on_host(instance.case.hook))
}

/// Runs an instance in the kernel; false where its frame is too short for a test run.
pub fn in_kernel(instance: &Instance, kernel: &mut Kernel) -> Result<bool> {
    let prepared = Prepared::new(instance, kernel::now())?;
    if prepared.frame.len() < kernel::SHORTEST {
        return Ok(false);
    }
    let seen = prepared.in_kernel(instance.case.hook, kernel)?;
    prepared.judge(instance, &seen)?;
    Ok(true)
}

struct Expectation {
    counter: Option<Counter>,
    changes: Table,
    via: Option<u32>,
}

/// What the case says; `goes_to` stands for what the mode does to a packet for that backend.
fn expectation(instance: &Instance, world: &World, input: &Frame) -> Result<Expectation> {
    let case = &instance.case;
    let mut changes = Table::new();
    let mut via = case.via;
    let mut name = case.counter.as_deref();
    if let Some(number) = case.goes_to {
        let backend = &world.backends[usize::from(number)];
        let mut set = |key: &str, value: Value| changes.insert(key.into(), value);
        if instance.way != Way::Local {
            via = Some(backend.interface);
            let own = if number.is_multiple_of(2) {
                "own"
            } else {
                "own7"
            };
            set("destination_mac", format!("b{number}").into());
            set("source_mac", own.into());
        }
        if instance.way != Way::Dsr {
            let quote = icmp::quoted(input)?;
            let dialled = quote.as_ref().map_or(&input.to, |quote| &quote.from);
            let (_, dialled) = dialled.rsplit_once(':').context("no port")?;
            let port = match backend.port {
                0 => dialled.to_string(),
                port => port.to_string(),
            };
            let backend = format!("b{number}:{port}");
            if quote.is_some() {
                let mut quote = Table::new();
                quote.insert("from".into(), backend.clone().into());
                set("quote", quote.into());
            }
            set("to", backend.into());
        }
        if instance.way == Way::Nat {
            set("ttl", i64::from(input.ttl - 1).into());
        }
        let error = input.quote.is_some();
        name = Some(match instance.way {
            Way::Dsr | Way::Nat if error => "forward_icmp",
            Way::Local if error => "deliver_icmp",
            Way::Dsr => "forward_dsr",
            Way::Nat => "forward_nat",
            Way::Local => "deliver_local",
        });
    }
    icmp::merge(&mut changes, case.out.clone());
    let counter = match name {
        None => None,
        Some(name) => Some(
            *Counter::ALL
                .iter()
                .find(|counter| counter.name() == name)
                .with_context(|| format!("no counter is called {name:?}"))?,
        ),
    };
    Ok(Expectation {
        counter,
        changes,
        via,
    })
}

fn frame(table: &Table) -> Result<Frame> {
    Ok(table.clone().try_into()?)
}

fn unpack(words: &[u64; 8]) -> Vec<Packed> {
    splitter_common::datapath::flow_table::records(words).collect()
}

fn names(counters: &[Counter]) -> Vec<&'static str> {
    counters.iter().map(|counter| counter.name()).collect()
}

/// Hexadecimal digits of a frame.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
