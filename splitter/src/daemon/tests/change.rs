//! Starting, changing weights, and what is shown of it.

use super::*;
use crate::api::RequestError;
use crate::api::types::Caller;
use crate::daemon::identity::BackendId;

#[test]
fn first_start_is_at_rest_on_the_stable_version() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    assert!(at_rest(&host.words()));
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.transition, None);
    assert_eq!((view.versions[0].slots, view.versions[1].slots), (64, 0));
    assert_eq!(view.versions[0].set_percent, 100.0);
    let memory = host.maps.memory();
    assert_eq!(memory.keys.len(), 1);
    assert_eq!(memory.replies.len(), 4, "a reply for each backend");
    assert_eq!(memory.vips.len(), 1);
}

#[test]
fn a_change_is_a_transition_that_ends_at_the_plan() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let before = host.words();
    let dry = SetWeights {
        dry_run: true,
        ..weights(50.0, 50.0)
    };
    let planned = core.change("web", &dry, host.now()).expect("plausible");
    assert_eq!(host.words(), before, "a dry run writes nothing");
    let done = core
        .change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    assert_eq!(done.slots_moved, 32);
    assert_eq!(done.established_flows_moved, 0);
    assert_eq!(done.holds_in_seconds, 3.0);
    assert_eq!(done.after["green"], 50.0);
    assert_eq!(planned.slots_moved, done.slots_moved);

    let words = host.words();
    let moved = words
        .iter()
        .filter(|w| w.state() == SlotState::Track)
        .count();
    assert_eq!(moved, 32);
    for (old, new) in before.iter().zip(&words) {
        assert_eq!(old.base(), new.base(), "flows without a record stay");
    }
    let view = core.service_view(0, host.now()).expect("a view");
    let transition = view.transition.expect("under way");
    assert_eq!(transition.began, host.now().wall);
    assert_eq!(transition.track, 32);

    host.pass(&mut core, 60);
    let words = host.words();
    assert!(at_rest(&words));
    let settled: Vec<u16> = words.iter().map(|w| w.base()).collect();
    assert_eq!(settled, owners(&core));
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.transition, None);
    assert!(!core.is_moving());
}

#[test]
fn the_measured_share_counts_from_when_the_weights_held() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.shake(0, 1_000);
    core.change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    host.shake(0, 1_100);
    host.pass(&mut core, 4);
    host.shake(0, 1_130);
    host.shake(2, 30);
    drop(core);
    let mut core = host
        .start(&configuration(vec![service()]))
        .expect("starts again");
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.versions[0].samples, 30, "not those of before it held");
    assert_eq!(view.versions[1].samples, 30);
    assert_eq!(view.versions[0].measured_percent, Some(50.0));
}

#[test]
fn after_a_reboot_the_measured_share_counts_from_nothing() {
    let mut host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.shake(0, 1_000);
    host.shake(2, 10);
    core.change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    drop(core);
    host.reboot();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.shake(0, 1_500);
    host.shake(2, 1_500);
    host.pass(&mut core, 5);
    for _ in 0..2 {
        let view = core.service_view(0, host.now()).expect("a view");
        assert_eq!(view.versions[0].samples, 1_500);
        assert_eq!(view.versions[1].samples, 1_500);
        drop(core);
        core = host.start(&configuration(vec![service()])).expect("again");
    }
}

#[test]
fn a_backend_that_comes_back_is_measured_from_where_its_traffic_begins() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let out = service().versions[0].backends[1].clone();
    let id = BackendId::of(&out);
    let number = u32::from(core.services[0].numbers.of(&id).expect("a number"));
    host.shake(number, 1_000);
    core.change("web", &weights(50.0, 50.0), host.now())
        .expect("plausible");
    host.pass(&mut core, 5);
    drop(core);
    let mut smaller = service();
    smaller.versions[0].backends.remove(1);
    let smaller = configuration(vec![smaller]);
    // It comes back once before its number was free, and once after.
    for (seconds, samples) in [(20, 200), (200, 1_200)] {
        let mut core = host.start(&smaller).expect("starts without it");
        host.pass(&mut core, seconds);
        drop(core);
        let mut core = host.start(&configuration(vec![service()])).expect("starts");
        let found = core.services[0].numbers.of(&id).map(u32::from);
        assert_eq!(found, Some(number));
        host.shake(number, 1_200);
        let view = core.service_view(0, host.now()).expect("a view");
        assert_eq!(view.versions[0].samples, samples, "after {seconds} s");
    }
}

#[test]
fn wrong_requests_change_nothing() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let writes = host.maps.memory().writes;
    let mut ask = |name: &str, weights: SetWeights| core.change(name, &weights, host.now());
    assert!(matches!(
        ask("mail", weights(50.0, 50.0)),
        Err(RequestError::NotFound(_))
    ));
    assert!(matches!(
        ask("web", weights(50.0, 49.0)),
        Err(RequestError::Invalid(_))
    ));
    assert!(matches!(
        ask("web", weights(99.999, 0.001)),
        Err(RequestError::Invalid(_))
    ));
    // Less than one of 64 slots.
    assert!(matches!(
        ask("web", weights(99.99, 0.01)),
        Err(RequestError::Invalid(_))
    ));
    let mut purple = weights(50.0, 0.0);
    purple.weights.insert("purple".to_owned(), 50.0);
    assert!(matches!(ask("web", purple), Err(RequestError::Invalid(_))));
    assert_eq!(host.maps.memory().writes, writes);
}

#[test]
fn udp_follows_at_once() {
    let host = Host::new();
    let udp = Service {
        protocol: Protocol::Udp,
        ..service()
    };
    let mut core = host.start(&configuration(vec![udp])).expect("starts");
    let view = core
        .change("web", &weights(0.0, 100.0), host.now())
        .expect("plausible");
    assert_eq!(view.holds_in_seconds, 0.0);
    assert!(at_rest(&host.words()));
    assert_eq!(
        host.words().iter().map(|w| w.base()).collect::<Vec<_>>(),
        owners(&core)
    );
}

#[test]
fn now_lifts_the_freeze_of_the_same_weights_set_before() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let half = weights(50.0, 50.0);
    let now = SetWeights {
        now: true,
        ..half.clone()
    };
    let frozen = || {
        let memory = host.maps.memory();
        let slots = memory.slots.iter().zip(&memory.stamps);
        slots
            .filter(|(word, stamps)| word.state() == SlotState::Track && stamps.bare_syn != 0)
            .count()
    };
    core.change("web", &half, host.now()).expect("plausible");
    assert_eq!(frozen(), 32);
    host.pass(&mut core, 1);
    core.change("web", &half, host.now()).expect("plausible");
    assert_eq!(frozen(), 32, "the same again changes nothing");
    let dry = SetWeights {
        dry_run: true,
        ..now.clone()
    };
    core.change("web", &dry, host.now()).expect("plausible");
    assert_eq!(frozen(), 32);
    let done = core.change("web", &now, host.now()).expect("plausible");
    assert_eq!((done.holds_in_seconds, done.slots_moved), (0.0, 0));
    assert_eq!(frozen(), 0);
    // What is frozen by a SYN that comes later stays so: the wish was for then.
    let later = host.now_ns();
    for stamps in &mut host.maps.memory().stamps[..SLOTS as usize] {
        stamps.bare_syn = later;
    }
    host.pass(&mut core, 1);
    assert_eq!(frozen(), 32);
    host.pass(&mut core, 60);
    assert!(at_rest(&host.words()));
    let writes = host.maps.memory().writes;
    core.change("web", &now, host.now()).expect("plausible");
    assert_eq!(host.maps.memory().writes, writes, "nothing is left to lift");
}

fn caller(client: std::net::IpAddr, port: Option<u16>) -> Caller {
    Caller {
        client,
        port,
        service_port: None,
    }
}

#[test]
fn explain_names_both_owners_in_a_transition() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let client = "198.51.100.7".parse().expect("an address");
    let rest = core
        .explain("web", caller(client, Some(4000)), host.now())
        .expect("explained");
    assert_eq!(rest.state, "steady");
    assert_eq!(rest.established, rest.base);
    assert_eq!(rest.new_flow.as_ref(), Some(&rest.base));
    let now = SetWeights {
        now: true,
        ..weights(0.0, 100.0)
    };
    core.change("web", &now, host.now()).expect("plausible");
    let moving = core
        .explain("web", caller(client, Some(4000)), host.now())
        .expect("explained");
    assert_eq!(moving.slot, rest.slot);
    assert_eq!(moving.state, "track");
    assert_eq!(moving.established, rest.base);
    let new = moving.new_flow.expect("not dropped");
    assert_eq!(new, moving.current);
    assert_eq!(new.version.as_deref(), Some("green"));
    assert!(
        core.explain("web", caller(client, None), host.now())
            .is_err(),
        "the port matters"
    );
}
