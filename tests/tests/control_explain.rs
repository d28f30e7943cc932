//! `splitter explain` agrees with the kernel: the daemon's answer against a test run of the attached program, flow by
//! flow, at rest and in a transition.
//!
//! Flows are sent into TRACK (before and after `prepare` has passed) and RESIDUE; a part of them again and again, so
//! that pending, learned and confirmed records are met. `drain.idle` is long: the daemon moves no slot on between an
//! answer and its test run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket};
use splitter::api::client::Client;
use splitter::api::types::{Caller, ExplainView};
use splitter_tests::lab::{Config, Family, Lab, Program, Splitter, Topology};
use splitter_tests::servers::Servers;
use splitter_tests::weights::Random;
use splitter_tests::{alone, sizes};

const XDP_DROP: u32 = 1;
const PREPARE: Duration = Duration::from_secs(5);
/// No comparison so close to the moment when `prepare` ends: answer and test run could be on different sides of it.
const CLOSE: Duration = Duration::from_millis(500);
/// Slots of the service.
const SLOTS: u32 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syn,
    Established,
    Fin,
}

/// A client's flow that was sent before.
#[derive(Clone, Copy, Debug)]
struct Flow {
    client: SocketAddr,
    sequence: u32,
}

struct Comparison<'a> {
    lab: &'a Lab,
    family: Family,
    client: Client,
    runtime: tokio::runtime::Runtime,
    program: Program,
    interface: u32,
    random: Random,
    recent: Vec<Flow>,
    seen: Seen,
}

/// What was met: a comparison that met nothing but slots at rest would prove little.
#[derive(Debug, Default)]
struct Seen {
    steady: usize,
    track: usize,
    residue: usize,
    with_record: usize,
    with_pending: usize,
    current_differs: usize,
}

impl Comparison<'_> {
    fn some(&mut self, count: usize, until: Option<Instant>) -> Result<usize> {
        for done in 0..count {
            if until.is_some_and(|until| Instant::now() > until) {
                return Ok(done);
            }
            if let Err(error) = self.one() {
                // Answer and test run of a stalled process may be on different sides of that moment.
                return match until {
                    Some(until) if Instant::now() >= until + CLOSE => Ok(done),
                    _ => Err(error),
                };
            }
        }
        Ok(count)
    }

    fn one(&mut self) -> Result<()> {
        let again = self.random.below(4) == 0 && !self.recent.is_empty();
        let flow = if again {
            self.recent[self.random.below(self.recent.len() as u64) as usize]
        } else {
            self.fresh()
        };
        let kind = match self.random.below(8) {
            0 => Kind::Fin,
            1..4 => Kind::Syn,
            _ => Kind::Established,
        };
        let caller = Caller {
            client: flow.client.ip(),
            port: Some(flow.client.port()),
            service_port: None,
        };
        let explained = self.runtime.block_on(self.client.explain("web", caller))?;
        // A sequence number far from that of every SYN of this flow: not the end of its handshake.
        let sequence = match kind {
            Kind::Syn => self.random.next_u64() as u32 & 0x3fff_ffff,
            _ => flow.sequence.wrapping_add(0x8000_0000),
        };
        let outcome = self
            .program
            .run(&self.frame(flow.client, kind, sequence), self.interface)?;
        let got = if outcome.verdict == XDP_DROP {
            None
        } else {
            Some(destination(&outcome.frame)?)
        };
        let expected = match kind {
            Kind::Syn => explained.new_flow.as_ref(),
            _ => Some(&explained.established),
        };
        let expected = expected.map(|b| SocketAddr::new(b.address, b.port));
        ensure!(
            got == expected,
            "{kind:?} of {flow:?}: explained {expected:?}, the kernel chose {got:?} (verdict {}); {explained:#?}",
            outcome.verdict
        );
        self.note(&explained);
        self.recent.push(Flow {
            sequence: if kind == Kind::Syn {
                sequence
            } else {
                flow.sequence
            },
            ..flow
        });
        // Few, so that a record is met again soon: long before it is quiet for `T_fin` or expires.
        if self.recent.len() > 40 {
            self.recent.remove(0);
        }
        Ok(())
    }

    fn note(&mut self, explained: &ExplainView) {
        match explained.state.as_str() {
            "steady" => self.seen.steady += 1,
            "track" => self.seen.track += 1,
            "residue" => self.seen.residue += 1,
            _ => {}
        }
        self.seen.with_record += usize::from(explained.record.is_some());
        self.seen.with_pending += usize::from(explained.pending.is_some());
        self.seen.current_differs += usize::from(explained.current != explained.base);
    }

    fn fresh(&mut self) -> Flow {
        let bits = self.random.next_u64();
        let ip: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::from(0x0a00_0000 | (bits as u32 & 0x00ff_ffff)).into(),
            Family::V6 => {
                Ipv6Addr::from((0x2001_0db8_0000_0010_u128 << 64) | u128::from(bits)).into()
            }
        };
        let port = 1024 + self.random.below(64_000) as u16;
        Flow {
            client: SocketAddr::new(ip, port),
            sequence: self.random.next_u64() as u32 & 0x3fff_ffff,
        }
    }

    fn frame(&self, client: SocketAddr, kind: Kind, sequence: u32) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ip = match (client.ip(), self.lab.vip(self.family)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
            (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
            _ => unreachable!("clients are of the VIP's family"),
        };
        let tcp = ip.tcp(client.port(), 80, sequence, 1024);
        let (tcp, payload): (_, &[u8]) = match kind {
            Kind::Syn => (tcp.syn(), &[]),
            Kind::Established => (tcp.ack(1), b"payload"),
            Kind::Fin => (tcp.ack(1).fin(), &[]),
        };
        let mut frame = Vec::with_capacity(tcp.size(payload.len()));
        tcp.write(&mut frame, payload)
            .expect("a vector takes everything");
        frame
    }
}

fn destination(frame: &[u8]) -> Result<SocketAddr> {
    let packet =
        SlicedPacket::from_ethernet(frame).context("what the program made of the frame")?;
    let ip: IpAddr = match packet.net {
        Some(NetSlice::Ipv4(ip)) => ip.header().destination_addr().into(),
        Some(NetSlice::Ipv6(ip)) => ip.header().destination_addr().into(),
        other => bail!("no IP any more: {other:?}"),
    };
    match packet.transport {
        Some(etherparse::TransportSlice::Tcp(tcp)) => {
            Ok(SocketAddr::new(ip, tcp.destination_port()))
        }
        other => bail!("no TCP any more: {other:?}"),
    }
}

fn compare(family: Family, seed: u64) -> Result<()> {
    let _alone = alone();
    let total = sizes::explained() / 2;
    println!("control_explain {family:?}: seed {seed}");
    let lab = Lab::new(Topology::NatElsewhere)?;
    let _servers = Servers::start(&lab, None)?;
    let prepare = format!("{}s", PREPARE.as_secs());
    let mut config = Config::web(&lab, family).with_timers(&prepare, "10m");
    config.seed = u128::from(seed);
    // So few that many hold a record of a flow which went elsewhere, however fast the comparison runs: those stay in
    // RESIDUE.
    config.services[0].slots = SLOTS;
    let splitter = Splitter::start(&lab, &config)?;
    let interface = splitter
        .stats()?
        .daemon
        .interfaces
        .into_iter()
        .next()
        .context("no interface")?;
    let seen = lab.edge.run(|| {
        let mut comparison = Comparison {
            lab: &lab,
            family,
            client: Client::new(splitter.socket()),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            program: Program::by_id(interface.program_id)?,
            interface: interface.index,
            random: Random(seed),
            recent: Vec::new(),
            seen: Seen::default(),
        };
        comparison.some(total / 4, None).context("at rest")?;
        for (percent, share) in [(40.0, 4), (10.0, 4), (75.0, 4)] {
            // Records with the age that decides would be met again while that passes.
            comparison.recent.clear();
            let before = Instant::now();
            splitter.green("web", percent)?;
            let changed = Instant::now();
            let frozen = comparison.some(total / share / 3, Some(before + PREPARE - CLOSE))?;
            ensure!(
                frozen > 0,
                "too slow to compare anything before `prepare` has passed"
            );
            comparison.recent.clear();
            std::thread::sleep(
                (changed + PREPARE + CLOSE).saturating_duration_since(Instant::now()),
            );
            comparison
                .some(total / share - frozen, None)
                .with_context(|| format!("green at {percent} %"))?;
        }
        Ok(comparison.seen)
    })?;
    println!("control_explain {family:?}: {seen:?}");
    let compared = seen.steady + seen.track + seen.residue;
    ensure!(compared >= total * 9 / 10, "{seen:?}");
    for (what, count) in [
        ("at rest", seen.steady),
        ("in TRACK", seen.track),
        ("in RESIDUE", seen.residue),
        ("with a record", seen.with_record),
        ("with a handshake", seen.with_pending),
        ("with two backends", seen.current_differs),
    ] {
        // Slots leave RESIDUE at once where no flow went elsewhere, so those are the fewest.
        ensure!(count > total / 250, "too few flows {what}: {seen:?}");
    }
    Ok(())
}

#[test]
fn explain_agrees_with_the_kernel_v4() -> Result<()> {
    compare(Family::V4, 40)
}

#[test]
fn explain_agrees_with_the_kernel_v6() -> Result<()> {
    compare(Family::V6, 60)
}
