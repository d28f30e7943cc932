//! What the fuzz targets run: bytes become frames and a world, and whatever they are, the properties must hold.
//!
//! The functions panic where one does not. They are called by libFuzzer (`cargo xtask fuzz`), and by an ordinary test
//! with every input that ever failed and with random ones.

use super::bytes::Bytes;
use super::check::leave;
use super::memory::Memory;
use super::mutate::mutate;
use super::property::{broken, rewritten};
use super::random::{self, Random};
use super::world::{SECOND, World};
use splitter_common::abi::Verdict;
use splitter_common::datapath::flow_table::Record;
use splitter_common::datapath::packet::Packet as _;
use splitter_common::datapath::parse::{Headers, Parsed, parse as parse_headers};
use splitter_common::datapath::steer as steer_frame;

/// Name of a target, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Each target: its name, and what it does with an input.
pub const TARGETS: [Target; 2] = [("parse", parse), ("steer", steer)];

/// Frames of one input at most: what comes after them would only cost time.
const FRAMES: usize = 16;
/// Bytes of one frame at most: more than a jumbo frame's headers.
const LONGEST: usize = 2048;
/// What the clock says at first.
const NOW: u64 = 1_000_000 * SECOND;

/// The parser, on the input as a frame: what it says of a header lies within the frame.
pub fn parse(input: &[u8]) {
    let Ok(world) = World::empty(1) else {
        panic!("no world");
    };
    let packet = Bytes::new(&world, 1, input.to_vec());
    let mut headers = Headers::default();
    let parsed = parse_headers(&packet, &mut headers);
    if parsed == Parsed::Transport {
        assert!(
            14 <= headers.l3 && headers.l3 + 20 <= headers.l4 && headers.l4 <= input.len(),
            "headers at {} and {} of {} bytes",
            headers.l3,
            headers.l4,
            input.len()
        );
        // The version nibble is the one that was parsed for, so nothing but IP was taken for IP.
        assert!(
            matches!(input[headers.l3] >> 4, 4 | 6),
            "{:02x} at {}",
            input[headers.l3],
            headers.l3
        );
    }
    assert_eq!(packet.bytes, input, "the parser wrote");
}

/// The whole steering: the input chooses a world, and frames that come one after the other, at XDP or on their way out.
pub fn steer(input: &[u8]) {
    let mut input = Input(input);
    let seed = input.number();
    let Ok(world) = random::world(&mut Random(seed), NOW) else {
        panic!("no world from seed {seed}");
    };
    let memory = Memory::new(&world, NOW);
    let mut now = NOW;
    for _ in 0..FRAMES {
        let Some(frame) = input.frame() else {
            return;
        };
        now += u64::from(input.byte()) * SECOND / 4;
        memory.adopt(now, &memory.flows(), &memory.stamps());
        let mut packet = Bytes::new(&world, 1, frame.clone());
        if input.byte() % 8 == 7 {
            leave(&mut packet, &memory);
            match memory.counted().as_slice() {
                [] => assert_eq!(packet.bytes, frame, "what is not counted was written to"),
                [_] => assert_eq!(rewritten(false, &frame, &packet.bytes), Ok(())),
                more => panic!("counted {more:?}"),
            }
        } else {
            let outcome = steer_frame(&mut packet, &memory);
            let verdict = match outcome.counter.verdict() {
                Verdict::Transmit if outcome.interface != packet.interface() => Verdict::Redirect,
                verdict => verdict,
            };
            let fault = broken(&memory.counted(), verdict, &frame, &packet.bytes);
            assert_eq!(fault, None);
        }
        judge_table(&memory, world.backends.len());
    }
}

/// No set stays locked, and no record names a backend that there is not.
fn judge_table(memory: &Memory, backends: usize) {
    for set in memory.flows() {
        assert_eq!(set[0] >> 63, 0, "a set stays locked");
        for entry in [0, 2, 4, 6] {
            // A free entry has no kind, whatever else is left in its words.
            let record = Record::unpack(set[entry], set[entry + 1]);
            let known = |record: Record| usize::from(record.backend) < backends;
            assert!(record.is_none_or(known), "{record:?}");
        }
    }
}

/// What is left of an input; where it has ended, it goes on with zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// The next frame: a crafted one, a mutated one, or bytes as they stand in the input; none at its end.
    fn frame(&mut self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        match self.byte() % 4 {
            0 => {
                let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % LONGEST;
                let (frame, rest) = self.0.split_at(length.min(self.0.len()));
                self.0 = rest;
                Some(frame.to_vec())
            }
            kind => {
                // Few seeds, so that flows come again and an input that found something is easily varied.
                let seed = u64::from(u16::from_le_bytes([self.byte(), self.byte()]));
                let mut random = Random(seed);
                let mut frame = random::frame(&mut random).ok()?;
                for _ in 1..kind {
                    let at = usize::from(self.byte());
                    let value = self.byte();
                    if let Some(byte) = frame.get_mut(at) {
                        *byte ^= value;
                    }
                }
                if kind == 3 && self.byte().is_multiple_of(4) {
                    mutate(&mut random, &mut frame, &[]);
                }
                frame.truncate(LONGEST);
                Some(frame)
            }
        }
    }
}
