//! Every arrow of the diagram, and the slots that have none.

use super::*;
use SlotState::{Handover, Residue, Steady, Track};
use splitter_common::abi::Stamp;

const S: u64 = 1_000_000_000;
const NOW: u64 = 10_000 * S;
const OLD: u64 = NOW - 302 * S;
const YOUNG: u64 = OLD + 1;
const TIMERS: Timers = Timers::of_idle(300 * S);
/// Backend 9 is dead.
const DEAD: u16 = 9;

/// Word before, `unlogged`, `foreign`, owner wanted, word after with the stamps that become `NOW`.
type Row = (
    (SlotState, u16, u16),
    u64,
    u64,
    u16,
    Option<((SlotState, u16, u16), &'static [Stamp])>,
);

const BEGIN: &[Stamp] = &[Stamp::Unlogged, Stamp::BareSyn];
const TABLE: &[Row] = &[
    // At rest with the owner it has.
    ((Steady, 1, 1), OLD, OLD, 1, None),
    // Another owner.
    ((Steady, 1, 1), OLD, OLD, 2, Some(((Track, 1, 2), BEGIN))),
    ((Residue, 1, 1), OLD, YOUNG, 2, Some(((Track, 1, 2), BEGIN))),
    ((Residue, 1, 1), OLD, OLD, 2, Some(((Track, 1, 2), BEGIN))),
    ((Track, 1, 2), OLD, OLD, 3, Some(((Track, 1, 3), &[]))),
    ((Handover, 1, 2), OLD, OLD, 3, Some(((Track, 1, 3), &[]))),
    // Rolled back.
    ((Track, 1, 2), OLD, OLD, 1, Some(((Track, 1, 1), &[]))),
    ((Track, 1, 1), OLD, OLD, 1, Some(((Residue, 1, 1), &[]))),
    ((Track, 1, 1), YOUNG, YOUNG, 1, Some(((Residue, 1, 1), &[]))),
    // The way forward.
    ((Track, 1, 2), YOUNG, OLD, 2, None),
    ((Track, 1, 2), OLD, YOUNG, 2, Some(((Handover, 1, 2), &[]))),
    ((Handover, 1, 2), YOUNG, OLD, 2, Some(((Track, 1, 2), &[]))),
    (
        (Handover, 1, 2),
        OLD,
        OLD,
        2,
        Some(((Residue, 2, 2), &[Stamp::Foreign])),
    ),
    ((Residue, 2, 2), OLD, YOUNG, 2, None),
    ((Residue, 2, 2), YOUNG, OLD, 2, Some(((Steady, 2, 2), &[]))),
    // The backend of `base` died: from every state.
    (
        (Steady, DEAD, DEAD),
        OLD,
        OLD,
        1,
        Some(((Residue, 1, 1), &[Stamp::Foreign])),
    ),
    (
        (Track, DEAD, 2),
        YOUNG,
        OLD,
        2,
        Some(((Residue, 2, 2), &[Stamp::Foreign])),
    ),
    (
        (Track, DEAD, 2),
        YOUNG,
        OLD,
        3,
        Some(((Residue, 2, 2), &[Stamp::Foreign])),
    ),
    (
        (Handover, DEAD, 2),
        OLD,
        OLD,
        2,
        Some(((Residue, 2, 2), &[Stamp::Foreign])),
    ),
    (
        (Residue, DEAD, DEAD),
        OLD,
        OLD,
        3,
        Some(((Residue, 3, 3), &[Stamp::Foreign])),
    ),
    // The backend of `current` died.
    ((Track, 1, DEAD), YOUNG, OLD, 2, Some(((Track, 1, 2), &[]))),
    ((Track, 1, DEAD), YOUNG, OLD, 1, Some(((Track, 1, 1), &[]))),
    ((Handover, 1, DEAD), OLD, OLD, 2, Some(((Track, 1, 2), &[]))),
    // None is alive, or the one wanted is not.
    ((Steady, DEAD, DEAD), OLD, OLD, DEAD, None),
    ((Steady, 1, 1), OLD, OLD, DEAD, None),
    ((Track, 1, 2), OLD, OLD, DEAD, None),
];

fn take(row: &Row, wish: Wish) -> Option<Change> {
    let ((state, base, current), unlogged, foreign, ..) = *row;
    let stamps = Stamps {
        unlogged,
        foreign,
        ..Stamps::default()
    };
    let word = SlotWord::new(state, base, current);
    let alive = |backend| backend != DEAD;
    step(word, &stamps, wish, true, &TIMERS, NOW, &alive)
}

#[test]
fn every_arrow() {
    for row in TABLE {
        let wish = Wish {
            owner: row.3,
            at_once: false,
        };
        let expected = row.4.map(|((state, base, current), stamped)| {
            let stamp = |which| stamped.contains(&which).then_some(NOW);
            Change {
                unlogged: stamp(Stamp::Unlogged),
                bare_syn: stamp(Stamp::BareSyn),
                foreign: stamp(Stamp::Foreign),
                word: SlotWord::new(state, base, current),
            }
        });
        assert_eq!(take(row, wish), expected, "{row:?}");
    }
}

#[test]
fn at_once_only_lifts_the_freeze() {
    for row in TABLE {
        let calm = Wish {
            owner: row.3,
            at_once: false,
        };
        let hasty = Wish {
            at_once: true,
            ..calm
        };
        let turns = row.4.is_some_and(|((state, _, current), _)| {
            state == Track && current == row.3 && current != row.0.2
        });
        let expected = take(row, calm).map(|mut change| {
            if turns {
                change.bare_syn = Some(0);
            }
            change
        });
        assert_eq!(take(row, hasty), expected, "{row:?}");
    }
}

#[test]
fn at_once_lifts_the_freeze_of_a_transition_under_way() {
    let take = |state, base, current, bare_syn, at_once| {
        let stamps = Stamps {
            unlogged: YOUNG,
            bare_syn,
            foreign: YOUNG,
            ..Stamps::default()
        };
        let wish = Wish { owner: 2, at_once };
        let word = SlotWord::new(state, base, current);
        step(word, &stamps, wish, true, &TIMERS, NOW, &|_| true)
    };
    let lifted = Change {
        unlogged: None,
        bare_syn: Some(0),
        foreign: None,
        word: SlotWord::new(Track, 1, 2),
    };
    assert_eq!(take(Track, 1, 2, NOW - S, true), Some(lifted));
    assert_eq!(take(Track, 1, 2, NOW - S, false), None);
    assert_eq!(take(Track, 1, 2, 0, true), None, "nothing is frozen");
    // Here SYNs leave no trace, or nothing follows them.
    assert_eq!(take(Steady, 2, 2, NOW - S, true), None);
    assert_eq!(take(Residue, 2, 2, NOW - S, true), None);
    let rolled_back = Change::to(SlotWord::new(Residue, 2, 2));
    assert_eq!(take(Track, 2, 2, NOW - S, true), Some(rolled_back));
}

#[test]
fn udp_follows_the_table_at_once() {
    let alive = |_| true;
    let stamps = Stamps::default();
    let wish = Wish {
        owner: 2,
        at_once: false,
    };
    let udp = |word| step(word, &stamps, wish, false, &TIMERS, NOW, &alive);
    assert_eq!(udp(SlotWord::steady(2)), None);
    assert_eq!(
        udp(SlotWord::steady(1)).map(|change| change.word),
        Some(SlotWord::steady(2))
    );
}

/// A slot goes all the way, with the daemon stopped before any cell write of any round and started again.
#[test]
fn stopping_between_any_two_writes_is_harmless() {
    let alive = |_| true;
    let wishes = [2_u16, 3].map(|owner| Wish {
        owner,
        at_once: false,
    });
    for stop_at in 0..40 {
        let mut words = [SlotWord::steady(1), SlotWord::steady(1)];
        let mut stamps = [Stamps::default(); 2];
        let mut now = NOW;
        let mut cells = 0;
        let mut rounds = 0;
        loop {
            let work = round(&words, &stamps, &wishes, true, &TIMERS, now, &alive);
            rounds += 1;
            assert!(rounds < 2_000, "stopped at cell {stop_at}: never settles");
            'round: for write in &work.writes {
                let slot = write.slot as usize;
                for cell in write.cells() {
                    cells += 1;
                    if cells == stop_at {
                        break 'round;
                    }
                    match cell {
                        Cell::Stamp(Stamp::Unlogged, ns) => stamps[slot].unlogged = ns,
                        Cell::Stamp(Stamp::BareSyn, ns) => stamps[slot].bare_syn = ns,
                        Cell::Stamp(Stamp::Foreign, ns) => stamps[slot].foreign = ns,
                        Cell::Word(word) => {
                            let base_moves = word.base() != words[slot].base();
                            if base_moves {
                                assert_eq!(words[slot].state(), Handover);
                                assert_eq!(stamps[slot].foreign, now);
                            }
                            if words[slot].state() == Steady {
                                assert_eq!(
                                    (stamps[slot].unlogged, stamps[slot].bare_syn),
                                    (now, now)
                                );
                            }
                            words[slot] = word;
                        }
                    }
                }
            }
            now += S;
            if words == wishes.map(|wish| SlotWord::steady(wish.owner)) {
                break;
            }
        }
        // 302 s until each of the two old stamps is old, two rounds of HANDOVER, and one more where it was stopped.
        let took = (now - NOW) / S;
        assert!(
            (604..=612).contains(&took),
            "stopped at cell {stop_at}: {took} s"
        );
    }
}

#[test]
fn a_round_that_was_held_up_is_not_carried_out() {
    let alive = |_| true;
    let wish = Wish {
        owner: 2,
        at_once: false,
    };
    let work = round(
        &[SlotWord::steady(1)],
        &[Stamps::default()],
        &[wish],
        true,
        &TIMERS,
        NOW,
        &alive,
    );
    assert_eq!(work.writes.len(), 1);
    assert!(!work.is_stale(&TIMERS, NOW + S));
    assert!(work.is_stale(&TIMERS, NOW + S + 1));
}
