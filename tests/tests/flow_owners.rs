//! Random schedules through the real steering code and the real daemon steps: no flow moves; and with a rule left
//! out, one does. `SPLITTER_SCHEDULES` sets how many schedules run, `SPLITTER_SEED` the first seed,
//! `SPLITTER_MUTANT` the only mutant to try.

use splitter_tests::flow_owners::{Mutant, Report, Wire, run, run_mutant};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SCHEDULES: u64 = 4_000;
/// Datagrams have fewer rules, and a schedule of them takes longer.
const UDP_SCHEDULES: u64 = 800;
/// Within so many schedules a mutant must be caught.
const SCHEDULES_FOR_A_MUTANT: u64 = 4_000;
const THREADS: u64 = 2;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}: found `{text}`, expected a number")),
        Err(_) => default,
    }
}

/// Runs seeds on all threads until one has a violation; returns it, and the sum of what was seen.
fn search(
    first: u64,
    count: u64,
    schedule: impl Fn(u64) -> Report + Sync,
) -> (Option<(u64, Report)>, Report) {
    let next = AtomicU64::new(0);
    let found: Mutex<Option<(u64, Report)>> = Mutex::new(None);
    let sum = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = first + next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || found.lock().unwrap().is_some() {
                        return;
                    }
                    let report = schedule(seed);
                    add(&mut sum.lock().unwrap(), &report);
                    if report.violation.is_some() {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(other, _)| *other > seed) {
                            *found = Some((seed, report));
                        }
                    }
                }
            });
        }
    });
    (found.into_inner().unwrap(), sum.into_inner().unwrap())
}

fn add(sum: &mut Report, report: &Report) {
    sum.packets += report.packets;
    sum.established += report.established;
    sum.nested += report.nested;
    sum.handover_drops += report.handover_drops;
    sum.busy_drops += report.busy_drops;
    sum.handovers += report.handovers;
    sum.kills += report.kills;
    sum.reused += report.reused;
    sum.rows_opened += report.rows_opened;
    sum.rows_closed += report.rows_closed;
    sum.limits += report.limits;
}

#[test]
fn no_flow_moves() {
    let sum = no_flow_moves_of(Wire::Tcp, SCHEDULES);
    if let Some(sum) = sum {
        assert!(sum.handover_drops > 0, "no SYN was dropped in a hand-over");
    }
}

#[test]
fn no_udp_flow_moves() {
    let sum = no_flow_moves_of(Wire::Udp, UDP_SCHEDULES);
    if let Some(sum) = sum {
        assert!(
            sum.handover_drops > 0,
            "no new flow found a full set in a hand-over"
        );
    }
}

/// What was seen, where there were enough schedules to see everything.
fn no_flow_moves_of(wire: Wire, schedules: u64) -> Option<Report> {
    let first = from_environment("SPLITTER_SEED", 1);
    let count = from_environment("SPLITTER_SCHEDULES", schedules);
    let (found, sum) = search(first, count, |seed| run(seed, wire));
    println!("{wire:?}, seeds {first} to {}: {sum:?}", first + count - 1);
    if let Some((seed, report)) = found {
        let (violation, story) = report.violation.unwrap();
        panic!(
            "{wire:?}, seed {seed}: {violation:?} (SPLITTER_SEED={seed} SPLITTER_SCHEDULES=1)\n{}",
            story.join("\n")
        );
    }
    // A model in which nothing happens proves nothing.
    for (what, seen) in [
        ("flows established", sum.established),
        ("packets that ran inside others", sum.nested),
        ("hand-overs", sum.handovers),
        ("packets that met a lock", sum.busy_drops),
        ("kills", sum.kills),
        ("numbers used again", sum.reused),
        ("rows that routes came into", sum.rows_opened),
        ("rows that routes left", sum.rows_closed),
    ] {
        assert!(seen > 0 || count < 200, "no {what} in {count} schedules");
    }
    (count >= 200).then_some(sum)
}

#[test]
fn every_rule_is_needed() {
    let mut missed = Vec::new();
    let only = std::env::var("SPLITTER_MUTANT").ok();
    for mutant in Mutant::ALL {
        if only
            .as_ref()
            .is_some_and(|name| *name != format!("{mutant:?}"))
        {
            continue;
        }
        for &wire in mutant.wires() {
            let schedule = |seed| run_mutant(seed, wire, *mutant);
            match search(1, SCHEDULES_FOR_A_MUTANT, schedule).0 {
                Some((seed, report)) => {
                    let violation = report.violation.unwrap().0;
                    println!("{mutant:?}, {wire:?}: {violation:?} at seed {seed}");
                }
                None => missed.push((*mutant, wire)),
            }
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
