//! Routes: added, removed, expired, nested, split; kills, restarts, and what the file says.

use super::*;
use crate::api::RequestError;
use crate::api::types::{AddRoute, RemoveRoute};
use crate::dataplane::MAX_ROUTES;
use crate::model::{Prefix, Seed};

fn add(clients: &[&str], version: &str) -> AddRoute {
    AddRoute {
        clients: clients.iter().map(|it| (*it).to_owned()).collect(),
        version: version.to_owned(),
        ttl_seconds: None,
        now: false,
        dry_run: false,
    }
}

fn remove(clients: &[&str]) -> RemoveRoute {
    RemoveRoute {
        clients: clients.iter().map(|it| (*it).to_owned()).collect(),
        now: false,
        dry_run: false,
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// The version that new flows of a client go to, all its slots being at rest with it.
fn version_of(host: &Host, core: &Core<Fake>, client: &str) -> String {
    let live = &core.services[0];
    let (first, _) = live.governing(client.parse().expect("an address"));
    let words = live.words_of(&host.maps, first).expect("in bounds");
    assert!(at_rest(&words), "{client}: not at rest");
    let mut versions: Vec<String> = words
        .iter()
        .map(|word| {
            let backend = core.backend_ref(live, word.base()).expect("a backend");
            backend.version.expect("configured")
        })
        .collect();
    versions.sort();
    versions.dedup();
    versions.join("+")
}

#[test]
fn a_route_comes_and_goes_through_a_row_of_its_own() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let dry = AddRoute {
        dry_run: true,
        ..add(&["10.8.0.0/16"], "green")
    };
    let writes = host.maps.memory().writes;
    let planned = core.add_route("web", &dry, host.now()).expect("plausible");
    assert_eq!(
        host.maps.memory().writes,
        writes,
        "a dry run writes nothing"
    );
    assert_eq!((planned.slots_moved, planned.slots), (64, 64));
    core.add_route("web", &add(&["10.8.0.0/16"], "green"), host.now())
        .expect("plausible");
    let view = core.routes("web").expect("known");
    assert_eq!(
        (&*view.routes[0].state, view.routes[0].slots_in_transition),
        ("moving", 64)
    );
    let view = core.service_view(0, host.now()).expect("a view");
    assert_eq!(view.transition.expect("under way").track, 64);
    assert!(at_rest(&host.words()), "the default row has no part in it");

    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.1.1"), "green");
    assert_eq!(version_of(&host, &core, "10.9.1.1"), "blue");
    assert_eq!(
        core.routes("web").expect("known").routes[0].state,
        "settled"
    );
    assert!(!core.is_moving());

    core.remove_route("web", &remove(&["10.8.0.0/16"]), host.now())
        .expect("there");
    assert_eq!(
        core.routes("web").expect("known").routes[0].state,
        "leaving"
    );
    assert_eq!(host.maps.memory().routes.len(), 1, "until it is at rest");
    host.pass(&mut core, 60);
    assert!(host.maps.memory().routes.is_empty());
    assert_eq!(core.services[0].rows, []);
    assert_eq!(host.maps.memory().services[&0].routed, 0);
    assert_eq!(core.routes("web").expect("known").routes, []);
}

#[test]
fn a_route_expires_also_while_no_daemon_runs() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    for (clients, ttl) in [("10.8.0.0/16", 100), ("10.9.0.0/16", 20)] {
        let route = AddRoute {
            ttl_seconds: Some(ttl),
            ..add(&[clients], "green")
        };
        core.add_route("web", &route, host.now())
            .expect("plausible");
    }
    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.1.1"), "green");
    assert_eq!(core.services[0].routes.len(), 1, "the short one is gone");
    drop(core);
    host.wait(100 * SECOND);
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.pass(&mut core, 60);
    assert!(host.maps.memory().routes.is_empty());
    assert_eq!(version_of(&host, &core, "10.8.1.1"), "blue");
}

#[test]
fn inner_routes_stay_when_outer_ones_come_and_go() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let seen = |core: &Core<Fake>| {
        ["10.8.1.1", "10.8.2.1", "10.9.1.1"].map(|client| version_of(&host, core, client))
    };
    type Step<'a> = (&'a dyn Fn(&mut Core<Fake>), [&'a str; 3]);
    let steps: [Step<'_>; 5] = [
        (
            &|core| drop(core.add_route("web", &add(&["10.8.1.0/24"], "green"), host.now())),
            ["green", "blue", "blue"],
        ),
        (
            &|core| drop(core.add_route("web", &add(&["10.8.0.0/16"], "green"), host.now())),
            ["green", "green", "blue"],
        ),
        (
            &|core| drop(core.change("web", &weights(0.0, 100.0), host.now())),
            ["green", "green", "green"],
        ),
        (
            &|core| drop(core.add_route("web", &add(&["10.8.1.0/24"], "blue"), host.now())),
            ["blue", "green", "green"],
        ),
        (
            &|core| drop(core.remove_route("web", &remove(&["10.8.0.0/16"]), host.now())),
            ["blue", "green", "green"],
        ),
    ];
    for (step, expected) in steps {
        step(&mut core);
        host.pass(&mut core, 60);
        assert_eq!(seen(&core), expected);
    }
    assert_eq!(host.maps.memory().routes.len(), 1);
    core.remove_route("web", &remove(&["10.8.1.0/24"]), host.now())
        .expect("there");
    host.pass(&mut core, 60);
    assert_eq!(seen(&core), ["green", "green", "green"]);
    assert!(host.maps.memory().routes.is_empty());
}

#[test]
fn routes_added_together_share_a_row_until_they_part() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let group = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    core.add_route("web", &add(&group, "green"), host.now())
        .expect("plausible");
    assert_eq!(core.services[0].rows.len(), 1);
    host.pass(&mut core, 60);
    core.remove_route("web", &remove(&["10.2.0.0/16"]), host.now())
        .expect("there");
    assert_eq!(
        core.services[0].rows.len(),
        2,
        "it leaves in a row of its own"
    );
    host.pass(&mut core, 60);
    let seen = ["10.1.0.1", "10.2.0.1", "10.3.0.1"].map(|it| version_of(&host, &core, it));
    assert_eq!(seen, ["green", "blue", "green"]);
    assert_eq!(core.services[0].rows.len(), 1);
}

#[test]
fn a_kill_between_any_two_writes_of_a_route_is_made_good() {
    const STEP: u64 = 4 * SECOND;
    let mut seeded = configuration(vec![service()]);
    seeded.daemon.seed = Some(Seed([1, 2]));
    let live = |host: &Host, core: &mut Core<Fake>| {
        // Begun on the covering row's way from one version to the other.
        _ = core.change("web", &weights(50.0, 50.0), host.now());
        _ = core.add_route(
            "web",
            &add(&["10.8.0.0/16", "10.9.0.0/16"], "green"),
            host.now(),
        );
        while host.now_ns() < 1_060 * SECOND && core.tick().is_ok() {
            host.wait(STEP);
        }
        _ = core.remove_route("web", &remove(&["10.8.0.0/16"]), host.now());
        while host.now_ns() < 1_140 * SECOND && core.tick().is_ok() {
            host.wait(STEP);
        }
    };
    let host = Host::new();
    let mut core = host.start(&seeded).expect("starts");
    live(&host, &mut core);
    let writes = host.maps.memory().writes;
    assert_eq!(host.maps.memory().routes.len(), 1);
    drop(core);

    // Some of each kind of writes; the model of flows and owners kills between any two.
    for deadly in (64..writes).step_by(47) {
        let host = Host::new();
        let mut core = host.start(&seeded).expect("starts");
        let begun = host.maps.memory().writes;
        host.maps.die_after(deadly.saturating_sub(begun));
        live(&host, &mut core);
        drop(core);
        let mut core = host
            .start(&seeded)
            .unwrap_or_else(|e| panic!("after {deadly} writes: {e}"));
        live(&host, &mut core);
        host.pass_by(&mut core, 100, STEP);
        let seen = ["10.8.0.1", "10.9.0.1", "10.1.0.1"].map(|it| version_of(&host, &core, it));
        assert_eq!(
            seen,
            ["blue+green", "green", "blue+green"],
            "killed after {deadly} writes"
        );
        assert_eq!(
            host.maps.memory().routes.len(),
            1,
            "killed after {deadly} writes"
        );
        assert_eq!(core.services[0].rows.len(), 1);
    }
}

#[test]
fn the_files_routes_are_the_initial_ones() {
    let host = Host::new();
    let mut filed = service();
    filed.routes = vec![(prefix("10.8.0.0/16"), 1), (prefix("10.9.0.0/16"), 1)];
    let with = |service: &Service| configuration(vec![service.clone()]);
    let mut core = host.start(&with(&filed)).expect("starts");
    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.0.1"), "green");
    let view = core.routes("web").expect("known");
    assert_eq!((view.routes.len(), &*view.routes[0].origin), (2, "file"));
    core.remove_route("web", &remove(&["10.8.0.0/16"]), host.now())
        .expect("there");
    core.add_route("web", &add(&["10.9.0.0/16"], "blue"), host.now())
        .expect("plausible");
    host.pass(&mut core, 60);
    drop(core);

    let mut core = host.start(&with(&filed)).expect("starts");
    host.pass(&mut core, 60);
    let view = core.routes("web").expect("known");
    assert_eq!(view.routes.len(), 1, "removed by hand: {view:?}");
    assert_eq!(
        view.routes[0].version.as_deref(),
        Some("blue"),
        "set by hand"
    );
    drop(core);

    // The file no longer names one, and then does again: it is new.
    filed.routes.remove(0);
    drop(host.start(&with(&filed)).expect("starts"));
    filed.routes.push((prefix("10.8.0.0/16"), 1));
    let mut core = host.start(&with(&filed)).expect("starts");
    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.0.1"), "green");
    drop(core);

    // The file's own ones go with it.
    filed.routes.clear();
    let mut core = host.start(&with(&filed)).expect("starts");
    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.0.1"), "blue");
    assert_eq!(core.routes("web").expect("known").routes.len(), 1);
}

#[test]
fn with_its_state_lost_a_route_goes_on_as_its_slots_are() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    core.add_route("web", &add(&["10.8.0.0/16"], "green"), host.now())
        .expect("plausible");
    host.pass(&mut core, 60);
    drop(core);
    std::fs::remove_file(host.folder.path().join("state.json")).expect("there");
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    host.pass(&mut core, 60);
    assert_eq!(version_of(&host, &core, "10.8.0.1"), "green");
    let view = core.routes("web").expect("known");
    assert_eq!(view.routes[0].version.as_deref(), Some("green"));
}

#[test]
fn a_version_that_only_a_route_names_is_not_drained() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    core.add_route("web", &add(&["10.8.0.0/16"], "green"), host.now())
        .expect("plausible");
    host.pass(&mut core, 60);
    drop(core);
    let mut without = service();
    without.versions[1].backends.remove(0);
    let mut core = host.start(&configuration(vec![without])).expect("starts");
    let leaving = |core: &Core<Fake>| {
        let numbers = core.services[0].numbers.iter();
        let alive = numbers.filter(|(_, number)| number.is_alive());
        alive.count()
    };
    assert_eq!(leaving(&core), 4);
    host.pass(&mut core, 8);
    assert_eq!(leaving(&core), 4, "the row of the route names it");
    host.pass(&mut core, 60);
    assert_eq!(leaving(&core), 3);
    assert_eq!(version_of(&host, &core, "10.8.0.1"), "green");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_written() {
    let host = Host::new();
    let mut core = host.start(&configuration(vec![service()])).expect("starts");
    let writes = host.maps.memory().writes;
    for (route, said) in [
        (
            add(&["10.8.0.1/16"], "green"),
            "host bits set: the prefix is 10.8.0.0/16",
        ),
        (add(&["office"], "green"), "`office` is not a CIDR"),
        (
            add(&["2001:db8::/32"], "green"),
            "expected a prefix of the family of VIP",
        ),
        (
            add(&["10.8.0.0/16", "10.8.0.0/16"], "green"),
            "found 10.8.0.0/16 twice",
        ),
        (add(&[], "green"), "expected at least one CIDR"),
        (
            add(&["10.8.0.0/16"], "red"),
            "found version \"red\", expected one of blue, green",
        ),
    ] {
        match core.add_route("web", &route, host.now()) {
            Err(RequestError::Invalid(why)) => assert!(why.contains(said), "{why}"),
            other => panic!("{route:?}: {other:?}"),
        }
    }
    match core.remove_route("web", &remove(&["10.8.0.0/16"]), host.now()) {
        Err(RequestError::NotFound(why)) => assert!(why.contains("it has none"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(host.maps.memory().writes, writes);
    // 1,024 slots, 64 a row: 15 rows beside the default one.
    for net in 0..15 {
        let clients = format!("10.{net}.0.0/16");
        core.add_route("web", &add(&[&clients], "green"), host.now())
            .expect("there is room");
    }
    match core.add_route("web", &add(&["10.99.0.0/16"], "green"), host.now()) {
        Err(RequestError::Refused(why)) => assert!(why.contains("daemon.max_slots"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(MAX_ROUTES as usize > core.services[0].routes.len());
}
