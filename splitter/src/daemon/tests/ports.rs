//! Services with several ports, and what happens to their flows when ports come and go.

use super::*;
use crate::api::types::Caller;

/// `web` on these ports; its backends get the port that the client dialled.
fn on(ports: &[u16]) -> Service {
    let mut web = Service {
        ports: Ports::new(ports.to_vec()).expect("ports"),
        ..service()
    };
    let backends = web.versions.iter_mut().flat_map(|v| &mut v.backends);
    backends.for_each(|backend| backend.port = 0);
    web
}

/// Ports of the look-up keys, with the indices that they lead to.
fn keys(host: &Host) -> Vec<(u16, u32)> {
    let memory = host.maps.memory();
    let mut keys: Vec<_> = memory
        .keys
        .iter()
        .map(|(key, index)| (key.port, *index))
        .collect();
    keys.sort_unstable();
    keys
}

fn reply_ports(host: &Host) -> Vec<(u16, u16)> {
    let memory = host.maps.memory();
    let mut ports: Vec<_> = memory
        .replies
        .values()
        .map(|(key, reply)| (key.port, reply.port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[test]
fn ports_come_and_go_and_flows_stay() {
    let host = Host::new();
    drop(host.start(&configuration(vec![on(&[80])])).expect("starts"));
    let words = host.words();
    for ports in [&[80, 443][..], &[22, 80, 443], &[22, 80], &[80]] {
        let core = host.start(&configuration(vec![on(ports)])).expect("starts");
        let leaving = core.services[0]
            .numbers
            .iter()
            .any(|(_, number)| !number.is_alive() && number.id().is_some());
        assert!(!leaving, "no backend becomes another one");
        assert_eq!(host.words(), words, "{ports:?}: no slot moves");
        let expected: Vec<_> = ports.iter().map(|port| (*port, 0)).collect();
        assert_eq!(keys(&host), expected);
        let expected: Vec<_> = ports.iter().map(|port| (*port, *port)).collect();
        assert_eq!(reply_ports(&host), expected);
        drop(core);
    }
}

#[test]
fn a_port_does_not_change_its_service() {
    let host = Host::new();
    let mail = |ports: &[u16]| Service {
        name: "mail".to_owned(),
        versions: vec![version("blue", &["10.0.3.1"])],
        weights: Weights::all_to(0, 1),
        ..on(ports)
    };
    let start = |services: Vec<Service>| host.start(&configuration(services)).map(drop);
    start(vec![on(&[80, 443]), mail(&[25])]).expect("starts");
    let writes = host.maps.memory().writes;
    for (web, mail) in [
        // From one service to the other; what the service is known by, gone, and given to the other.
        (on(&[80]), mail(&[25, 443])),
        (on(&[443]), mail(&[25])),
        (on(&[443]), mail(&[25, 80])),
    ] {
        let names = format!("{} / {}", web.ports, mail.ports);
        let error = start(vec![web, mail]).err();
        let error = error
            .unwrap_or_else(|| panic!("{names}: refused"))
            .to_string();
        assert!(error.contains("in force as a port of"), "{names}: {error}");
        assert_eq!(host.maps.memory().writes, writes, "{names}");
    }
    start(vec![on(&[80]), mail(&[25])]).expect("taken out");
    start(vec![on(&[80]), mail(&[25, 443])]).expect("then put in");
    assert_eq!(keys(&host), [(25, 1), (80, 0), (443, 1)]);
}

#[test]
fn explain_asks_for_the_port_where_there_are_several() {
    let host = Host::new();
    let core = host
        .start(&configuration(vec![on(&[80, 443])]))
        .expect("starts");
    let caller = |service_port| Caller {
        client: "198.51.100.7".parse().expect("an address"),
        port: Some(4000),
        service_port,
    };
    let explain = |port| core.explain("web", caller(port), host.now());
    let error = explain(None).expect_err("which port").to_string();
    assert!(
        error.contains("80,443") && error.contains("--port"),
        "{error}"
    );
    let error = explain(Some(81)).expect_err("no such port").to_string();
    assert!(error.contains("found port 81"), "{error}");
    let (one, other) = (explain(Some(80)), explain(Some(443)));
    let (one, other) = (one.expect("explained"), other.expect("explained"));
    assert_ne!(one.slot, other.slot, "another port, another flow");
    assert_eq!((one.service_port, other.service_port), (80, 443));
    assert_eq!(one.base.port, 0, "the port that the client dialled");
}
