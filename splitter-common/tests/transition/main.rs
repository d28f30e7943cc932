//! Every line of the transition rules, one packet at a time; and the flow table that they stand on.

mod memory;

use memory::{DEAD, HASH, LOCK, Memory, NOW, S, Set, View, closing, record, service};
use splitter_common::abi::{Counter, SlotState};
use splitter_common::datapath::flow_table::{self as flows, Kind, Record, tick};
use splitter_common::datapath::transition::{Arrival, Segment, choose, peek};

use Kind::{Confirmed, Learned, Pending};
use Segment::{Bare, Fin, Payload, Reset, Syn};
use SlotState::{Handover, Residue, Steady, Track};

const NOTHING: [bool; 3] = [false, false, false];
const UNLOGGED: [bool; 3] = [true, false, false];
const BARE_SYN: [bool; 3] = [true, true, false];
const FOREIGN: [bool; 3] = [false, false, true];
const DROP: Result<u16, Counter> = Err(Counter::DropHandover);

/// What is in the tables; the packet; where it goes; the flow's records after it; the stamps set.
type Case = (
    &'static str,
    Memory,
    (Segment, u32),
    Result<u16, Counter>,
    Vec<(Kind, u16, bool)>,
    [bool; 3],
);

fn check(cases: Vec<Case>) {
    for (name, memory, (segment, sequence), result, records, stamps) in cases {
        let before = peek(&View(&memory), &service(), HASH, 0).expect("nobody holds the set");
        assert_eq!(memory.send(segment, sequence), result, "{name}");
        let own: Vec<_> = memory
            .own()
            .iter()
            .map(|own| (own.kind, own.backend - memory::FIRST as u16, own.closing))
            .collect();
        assert_eq!(own, records, "{name}: records");
        assert_eq!(memory.stamped(), stamps, "{name}: stamps");
        if segment == Syn && sequence != 1_000 {
            assert_eq!(before.new_flow, result, "{name}: peek");
        }
        if segment == Bare && sequence == 1_000 {
            assert_eq!(before.established, result, "{name}: peek");
        }
    }
}

/// A pending record of another flow, old enough to give way.
fn old(tag: u64) -> Record {
    Record {
        tag,
        ..record(Pending, 4, 5 * S)
    }
}

#[test]
#[rustfmt::skip]
fn syns() {
    let slot = Memory::new;
    check(vec![
        ("at rest nothing is looked at", slot(Steady, 1, 1).with(record(Confirmed, 2, S)), (Syn, 5), Ok(1), vec![(Confirmed, 2, false)], NOTHING),
        ("a new flow", slot(Track, 1, 2), (Syn, 5), Ok(2), vec![(Pending, 2, false)], FOREIGN),
        ("frozen", slot(Track, 1, 2).frozen(), (Syn, 5), Ok(1), vec![(Pending, 1, false)], NOTHING),
        ("sent again", slot(Track, 1, 3).with(record(Pending, 2, 5 * S)), (Syn, 1_000), Ok(2), vec![(Pending, 2, false)], FOREIGN),
        ("another number, young", slot(Track, 1, 3).with(record(Pending, 2, S)), (Syn, 5), Ok(2), vec![(Pending, 2, false)], FOREIGN),
        ("another number, not young", slot(Track, 1, 3).with(record(Pending, 2, 4 * S)), (Syn, 5), Ok(3), vec![(Pending, 3, false)], FOREIGN),
        ("expired pending", slot(Track, 1, 3).with(record(Pending, 2, 11 * S)), (Syn, 1_000), Ok(3), vec![(Pending, 3, false)], FOREIGN),
        ("dead pending", slot(Track, 1, 3).with(record(Pending, DEAD, S)), (Syn, 1_000), Ok(3), vec![(Pending, 3, false)], FOREIGN),
        ("follows its record", slot(Track, 1, 3).with(record(Confirmed, 2, 299 * S)), (Syn, 5), Ok(2), vec![(Confirmed, 2, false)], FOREIGN),
        ("does not confirm a learned one", slot(Track, 1, 3).with(record(Learned, 1, S)), (Syn, 5), Ok(1), vec![(Learned, 1, false)], NOTHING),
        ("expired record", slot(Residue, 1, 1).with(record(Confirmed, 2, 301 * S)), (Syn, 5), Ok(1), vec![(Confirmed, 2, false)], NOTHING),
        ("dead record", slot(Residue, 1, 1).with(record(Confirmed, DEAD, S)), (Syn, 5), Ok(1), vec![(Confirmed, DEAD, false)], NOTHING),
        ("closing, not quiet", slot(Track, 1, 3).with(closing(5 * S)), (Syn, 5), Ok(2), vec![(Confirmed, 2, true)], FOREIGN),
        ("closing, quiet", slot(Track, 1, 3).with(closing(7 * S)), (Syn, 5), Ok(3), vec![(Confirmed, 2, true), (Pending, 3, false)], FOREIGN),
        ("no room, and there will be", slot(Track, 1, 2).full(), (Syn, 5), Err(Counter::DropNoRoom), vec![], NOTHING),
        ("another's gives way, the flow's own expired one goes", slot(Track, 1, 2).with(record(Pending, 1, 11 * S)).with(old(1)).with(old(2)), (Syn, 5), Ok(2), vec![(Pending, 2, false)], FOREIGN),
        ("no room for long", slot(Track, 1, 2).taken(), (Syn, 5), Ok(1), vec![], BARE_SYN),
        ("no room, and base is where new flows go", slot(Track, 1, 1).full(), (Syn, 5), Ok(1), vec![], BARE_SYN),
        ("hand-over, frozen", slot(Handover, 1, 2).frozen(), (Syn, 5), DROP, vec![], BARE_SYN),
        ("hand-over, no room", slot(Handover, 1, 2).full(), (Syn, 5), DROP, vec![], BARE_SYN),
        ("hand-over, room", slot(Handover, 1, 2), (Syn, 5), Ok(2), vec![(Pending, 2, false)], FOREIGN),
        ("residue", slot(Residue, 2, 2), (Syn, 5), Ok(2), vec![], NOTHING),
        ("residue is never frozen", slot(Residue, 2, 2).frozen(), (Syn, 5), Ok(2), vec![], NOTHING),
        ("residue, 5-tuple used again", slot(Residue, 1, 1).with(closing(7 * S)), (Syn, 5), Ok(1), vec![(Confirmed, 2, true), (Pending, 1, false)], NOTHING),
    ]);
}

#[test]
#[rustfmt::skip]
fn other_packets() {
    let slot = Memory::new;
    check(vec![
        ("at rest", slot(Steady, 1, 1), (Payload, 5), Ok(1), vec![], NOTHING),
        ("confirms", slot(Track, 1, 3).with(record(Pending, 2, S)), (Bare, 1_001), Ok(2), vec![(Confirmed, 2, false)], FOREIGN),
        ("end of the window", slot(Track, 1, 3).with(record(Pending, 2, S)), (Payload, 1_000 + 32_768), Ok(2), vec![(Confirmed, 2, false)], FOREIGN),
        ("beyond the window", slot(Residue, 1, 1).with(record(Pending, 2, S)), (Payload, 1_001 + 32_768), Ok(1), vec![(Pending, 2, false)], NOTHING),
        ("before the window", slot(Track, 1, 3).with(record(Pending, 2, S)), (Bare, 1_000), Ok(1), vec![(Pending, 2, false), (Learned, 1, false)], NOTHING),
        ("takes the place of the former", slot(Track, 1, 3).with(closing(S)).with(record(Pending, 3, S)), (Bare, 1_001), Ok(3), vec![(Confirmed, 3, false)], FOREIGN),
        ("confirms and closes", slot(Track, 1, 3).with(record(Pending, 2, S)), (Reset, 1_001), Ok(2), vec![(Confirmed, 2, true)], FOREIGN),
        ("learned", slot(Track, 1, 2), (Payload, 5), Ok(1), vec![(Learned, 1, false)], NOTHING),
        ("learned, closing", slot(Track, 1, 2), (Fin, 5), Ok(1), vec![(Learned, 1, true)], NOTHING),
        ("seen again", slot(Track, 1, 2).with(record(Learned, 1, S)), (Bare, 1_000), Ok(1), vec![(Confirmed, 1, false)], NOTHING),
        ("a bare reset teaches nothing", slot(Track, 1, 2), (Reset, 5), Ok(1), vec![], NOTHING),
        ("no room", slot(Track, 1, 2).full(), (Payload, 5), Ok(1), vec![], UNLOGGED),
        ("hand-over learns nothing", slot(Handover, 1, 2), (Payload, 5), Ok(1), vec![], UNLOGGED),
        ("residue learns nothing", slot(Residue, 2, 2), (Payload, 5), Ok(2), vec![], NOTHING),
        ("closes", slot(Track, 1, 3).with(record(Confirmed, 2, S)), (Fin, 5), Ok(2), vec![(Confirmed, 2, true)], FOREIGN),
        ("bare leaves it closing", slot(Track, 1, 3).with(closing(S)), (Bare, 1_000), Ok(2), vec![(Confirmed, 2, true)], FOREIGN),
        ("payload opens it", slot(Track, 1, 3).with(closing(S)), (Payload, 5), Ok(2), vec![(Confirmed, 2, false)], FOREIGN),
        ("payload drops another's pending", slot(Track, 1, 3).with(closing(S)).with(record(Pending, 3, S)), (Payload, 5), Ok(2), vec![(Confirmed, 2, false)], FOREIGN),
        ("and not its own", slot(Track, 1, 3).with(closing(S)).with(record(Pending, 2, S)), (Payload, 5), Ok(2), vec![(Confirmed, 2, false), (Pending, 2, false)], FOREIGN),
        ("dead record", slot(Track, 1, 3).with(record(Confirmed, DEAD, S)), (Payload, 5), Ok(1), vec![(Learned, 1, false)], NOTHING),
        ("another service's record", slot(Residue, 1, 1).with(record(Confirmed, 20, S)), (Payload, 5), Ok(1), vec![(Confirmed, 20, false)], NOTHING),
    ]);
}

#[test]
fn a_shorter_timer_holds_at_once() {
    // Made when `drain.idle` was an hour, seen last six minutes ago; now it is five minutes.
    let long = Record {
        deadline: tick(NOW + 3_240 * S),
        low: tick(NOW - 360 * S),
        ..record(Confirmed, 2, S)
    };
    let memory = Memory::new(Residue, 1, 1).with(long);
    assert_eq!(memory.send(Payload, 5), Ok(1));
}

#[test]
fn refreshing_moves_the_deadline() {
    let memory = Memory::new(Track, 1, 3).with(record(Confirmed, 2, 200 * S));
    assert_eq!(memory.send(Bare, 5), Ok(2));
    let found = memory.own()[0];
    assert_eq!(
        (found.deadline, found.low),
        (tick(NOW + 300 * S), tick(NOW))
    );
}

#[test]
fn a_set_that_stays_locked_drops_the_packet() {
    let memory = Memory::new(Track, 1, 2);
    memory.set[0].set(LOCK);
    let arrival = Arrival {
        flow_hash: HASH,
        slot: 0,
        segment: Payload,
        sequence: 5,
    };
    let view = View(&memory);
    assert_eq!(choose(&view, &service(), &arrival), Err(Counter::DropBusy));
    assert_eq!(memory.set[0].get(), LOCK, "another's lock is left alone");
    assert_eq!(flows::load_unlocked(&Set(&memory)), None);
}

#[test]
fn quotas_hold_whatever_comes() {
    for (kind, segment) in [(Pending, Syn), (Learned, Bare)] {
        let memory = Memory::new(Track, 1, 2);
        for tag in 0..100_u64 {
            let arrival = Arrival {
                flow_hash: HASH ^ tag,
                slot: 0,
                segment,
                sequence: tag as u32,
            };
            let chosen = choose(&View(&memory), &service(), &arrival);
            if segment == Syn && tag >= flows::QUOTA {
                assert_eq!(chosen, Err(Counter::DropNoRoom), "{tag}");
            } else {
                assert!(chosen.is_ok(), "{tag}");
            }
        }
        let words: [u64; 8] = std::array::from_fn(|word| memory.set[word].get());
        let kinds: Vec<Kind> = flows::records(&words).map(|record| record.kind).collect();
        assert_eq!(kinds, [kind; flows::QUOTA as usize]);
    }
}

/// Records that began as learned, confirmed since, never take the last entry: a SYN finds room after any flood of
/// ACKs, also of ACKs that come twice.
#[test]
fn acks_that_come_twice_leave_an_entry_for_a_syn() {
    let memory = Memory::new(Track, 1, 2);
    let view = View(&memory);
    let send = |tag: u64, segment, sequence| {
        let arrival = Arrival {
            flow_hash: HASH ^ tag,
            slot: 0,
            segment,
            sequence,
        };
        choose(&view, &service(), &arrival)
    };
    for tag in 1..100_u64 {
        for _ in 0..3 {
            assert_eq!(send(tag, Bare, tag as u32), Ok(1));
        }
    }
    let words: [u64; 8] = std::array::from_fn(|word| memory.set[word].get());
    let kinds: Vec<Kind> = flows::records(&words).map(|record| record.kind).collect();
    assert_eq!(kinds, [Confirmed; 3]);
    assert_eq!(send(0, Syn, 1_000), Ok(2), "a new flow");
    assert_eq!(send(0, Bare, 1_001), Ok(2), "its handshake");
    assert_eq!(memory.own()[0].kind, Confirmed);
    // Its entry, when it is free again, is kept for a SYN again.
    let entry = (0..4).find(|entry| {
        let (a, b) = (memory.set[2 * entry].get(), memory.set[2 * entry + 1].get());
        Record::unpack(a, b).is_some_and(|record| record.tag == flows::tag_of(HASH))
    });
    memory.set[2 * entry.expect("its record")].set(0);
    assert_eq!(send(200, Bare, 5), Ok(1));
    let words: [u64; 8] = std::array::from_fn(|word| memory.set[word].get());
    assert_eq!(flows::records(&words).count(), 3);
    assert!(memory.stamped()[0], "what is not learned is stamped");
}

/// The record of a flow whose backend died is learned anew in its own entry, unless the others are taken.
#[test]
fn a_flows_own_entry_may_be_the_last_one_only_where_another_is_free() {
    let dead = record(Confirmed, DEAD, S);
    let other = |tag| Record {
        tag,
        ..record(Confirmed, 4, S)
    };
    let memory = Memory::new(Track, 1, 2)
        .with(dead)
        .with(other(1))
        .with(other(2));
    assert_eq!(memory.send(Payload, 5), Ok(1));
    assert_eq!(memory.own()[0].kind, Learned);
    let memory = Memory::new(Track, 1, 2)
        .with(dead)
        .with(other(1))
        .with(other(2))
        .with(other(3));
    assert_eq!(memory.send(Payload, 5), Ok(1));
    assert_eq!(memory.own(), [dead]);
    assert!(memory.stamped()[0]);
}

#[test]
fn records_survive_packing() {
    for kind in [Pending, Learned, Confirmed] {
        for closing in [false, true] {
            let record = Record {
                kind,
                closing,
                tag: (1 << 44) - 2,
                backend: u16::MAX - 1,
                deadline: u32::MAX - 2,
                low: u32::MAX - 3,
            };
            let (a, b) = record.pack();
            assert_eq!(Record::unpack(a, b), Some(record));
            assert_eq!(a & LOCK, 0);
        }
    }
    assert_eq!(Record::unpack(0, 17), None);
}

#[test]
fn ticks_may_wrap() {
    let wrap = 1_u64 << 56;
    let record = Record {
        deadline: tick(wrap - S + 10 * S),
        ..record(Pending, 1, 0)
    };
    assert!(record.is_live(wrap - S));
    assert!(record.is_live(wrap + 8 * S));
    assert!(!record.is_live(wrap + 10 * S));
    assert_eq!(
        flows::ticks_to_ns(tick(wrap - (1 << 24)), tick(wrap)),
        1 << 24
    );
    assert_eq!(flows::ticks_to_ns(tick(wrap), tick(wrap - S)), 0);
}

#[test]
fn sweeping_takes_what_is_long_past() {
    let memory = Memory::new(Track, 1, 2)
        .with(record(Pending, 1, S))
        .with(record(Confirmed, 2, 400 * S))
        .with(record(Confirmed, 3, S));
    let set = Set(&memory);
    assert_eq!(flows::sweep(&set, NOW), 0);
    assert_eq!(flows::sweep(&set, NOW + 3_600 * S), 0);
    assert_eq!(flows::sweep(&set, NOW + 20_000 * S), 3);
    let locked = Memory::new(Track, 1, 2).with(record(Pending, 1, S));
    locked.set[0].set(locked.set[0].get() | LOCK);
    assert_eq!(flows::sweep(&Set(&locked), NOW + 20_000 * S), 0);
}
