//! A daemon that is held up (a slow disk, a debugger, a suspended machine) claims no silence that it did not watch.

use splitter_common::abi::Stamps;

use super::*;

/// Longer than half of the margin.
const LONG: u64 = 3 * SECOND;

/// Slots in TRACK whose transition began at `ns` by both stamps.
fn began_at(host: &Host, ns: u64) -> usize {
    let memory = host.maps.memory();
    let slots = memory.slots.iter().zip(&memory.stamps);
    slots
        .filter(|(word, stamps)| {
            word.state() == SlotState::Track && (stamps.unlogged, stamps.bare_syn) == (ns, ns)
        })
        .count()
}

#[test]
fn a_slow_disk_does_not_shorten_prepare() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let asked = host.now();
    // The first look at the clock is after the state was saved.
    host.stop_before(1, LONG, |_| ());
    core.change("web", &weights(50.0, 50.0), asked)
        .expect("plausible");
    assert_eq!(began_at(&host, asked.ns), 0);
    assert_eq!(began_at(&host, asked.ns + LONG), 32);
    assert_eq!(
        core.services[0].rebase_at,
        Some(asked.ns + LONG + 3 * SECOND)
    );
}

#[test]
fn slots_written_after_a_stop_are_stamped_with_the_time_after_it() {
    // After the save, before the round, and before each of a slot's two stamps and its word.
    for (written, cells) in [(0, 0), (0, 2), (10, 30), (10, 31)] {
        let host = Host::new();
        let mut core = host.start(&configuration(vec![service()])).expect("starts");
        let asked = host.now();
        host.stop_before(2 + cells + 1, LONG, |_| ());
        core.change("web", &weights(50.0, 50.0), asked)
            .expect("plausible");
        assert_eq!(host.now_ns(), asked.ns + LONG, "it was stopped");
        assert_eq!(began_at(&host, asked.ns), written, "{cells} cells");
        assert_eq!(began_at(&host, host.now_ns()), 0);
        core.tick().expect("maps can be written");
        assert_eq!(began_at(&host, asked.ns), written);
        assert_eq!(began_at(&host, host.now_ns()), 32 - written);
        host.pass(&mut core, 60);
        assert!(at_rest(&host.words()));
    }
}

#[test]
fn a_flow_that_wakes_up_while_the_daemon_is_stopped_keeps_its_backend() {
    // Before the first slot's stamp, and between it and its word.
    for reads in [2, 3] {
        let host = Host::new();
        let mut core = host.start(&configuration(vec![service()])).expect("starts");
        core.change("web", &weights(0.0, 100.0), host.now())
            .expect("plausible");
        let handed_over = |host: &Host| host.words()[0].state() == SlotState::Handover;
        while !handed_over(&host) {
            host.wait(ROUND_NS);
            core.tick().expect("maps can be written");
        }
        let bases = |host: &Host| host.words().iter().map(|w| w.base()).collect::<Vec<_>>();
        let before = bases(&host);
        host.wait(ROUND_NS);
        let woken = host.now_ns() + LONG;
        host.stop_before(reads, LONG, move |maps| {
            for stamps in &mut maps.memory().stamps[..SLOTS as usize] {
                *stamps = Stamps {
                    unlogged: woken,
                    ..*stamps
                };
            }
        });
        core.tick().expect("maps can be written");
        assert_eq!(host.now_ns(), woken, "it was stopped");
        assert_eq!(bases(&host), before);
        core.tick().expect("maps can be written");
        assert_eq!(bases(&host), before);
        let words = host.words();
        assert!(words.iter().all(|w| w.state() == SlotState::Track));
    }
}
