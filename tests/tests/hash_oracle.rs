//! The flow hash against an oracle that is not ours: `tests/data/siphash.py`, a textbook SipHash in Python, wrote
//! `tests/data/hash-vectors.json`. To make the vectors anew: `python3 tests/data/siphash.py >
//! tests/data/hash-vectors.json`.

use serde::Deserialize;
use splitter_common::abi::{Address, Affinity, Service, mapped};
use splitter_common::datapath::parse::Headers;
use splitter_common::hash::{client_hash, flow_hash, slot};
use splitter_tests::cases::cast::hex;
use std::net::IpAddr;

#[derive(Deserialize)]
struct Vector {
    key: String,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    prefix: u8,
    flow: String,
    client: String,
}

fn address(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[test]
fn agrees_with_the_textbook() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../data/hash-vectors.json")).expect("the vectors");
    assert!(vectors.len() >= 100, "only {} vectors", vectors.len());
    for vector in &vectors {
        let bytes = hex(&vector.key).expect("a key");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a word"));
        let key = [word(0), word(8)];
        let headers = Headers {
            ipv6: u8::from(vector.source.is_ipv6()),
            protocol: vector.protocol,
            source: address(vector.source),
            destination: address(vector.destination),
            source_port: vector.source_port,
            destination_port: vector.destination_port,
            ..Headers::default()
        };
        let name = format!("{} -> {}", vector.source, vector.destination);
        assert_eq!(
            format!("{:016x}", flow_hash(&key, &headers)),
            vector.flow,
            "{name}"
        );
        assert_eq!(
            format!("{:016x}", client_hash(&key, &headers, vector.prefix)),
            vector.client,
            "{name}"
        );
    }
}

/// Pearson's statistic of `flows` hashed into `slots`, in standard deviations from what chance gives.
fn deviation(affinity: Affinity, key: [u64; 2], flows: impl Iterator<Item = Headers>) -> f64 {
    const SLOTS: usize = 1024;
    let service = Service {
        slot_mask: SLOTS as u32 - 1,
        affinity: affinity as u8,
        ..Service::default()
    };
    let mut counts = [0_u32; SLOTS];
    let mut total = 0_u32;
    for headers in flows {
        let hash = flow_hash(&key, &headers);
        counts[slot(&key, &service, &headers, hash) as usize] += 1;
        total += 1;
    }
    let expected = f64::from(total) / SLOTS as f64;
    let statistic: f64 = counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum();
    // Chi-square with k degrees of freedom has mean k and variance 2k.
    let freedom = SLOTS as f64 - 1.0;
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

/// Flows that differ in one thing only, as real ones do: the hardest input for a hash that is not one.
#[test]
fn slots_are_taken_evenly() {
    let flow = |number: u32, v6: bool| Headers {
        ipv6: u8::from(v6),
        protocol: 6,
        source: if v6 {
            let [a, b, c, d] = number.to_be_bytes();
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        } else {
            mapped((0x0a00_0000 + number).to_be_bytes())
        },
        destination: mapped([203, 0, 113, 10]),
        source_port: 40_000,
        destination_port: 443,
        ..Headers::default()
    };
    let keys = [
        [1, 2],
        [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
        [u64::MAX, 0],
    ];
    for key in keys {
        for v6 in [false, true] {
            for affinity in [Affinity::Flow, Affinity::Client] {
                let by_address = (0..100_000).map(|number| flow(number, v6));
                let off = deviation(affinity, key, by_address);
                assert!(off.abs() < 6.0, "addresses, {affinity:?}: {off} deviations");
            }
            let by_port = (0..60_000_u16).map(|port| Headers {
                source_port: port,
                ..flow(7, v6)
            });
            let off = deviation(Affinity::Flow, key, by_port);
            assert!(off.abs() < 6.0, "ports: {off} deviations");
        }
    }
}
