//! The named packet cases, on the host and in the kernel. With `--nocapture` the tests print how many there are and
//! what the verifier said.

use splitter_common::abi::{Counter, Verdict};
use splitter_common::datapath::parse::{Headers, Parsed, parse};
use splitter_tests::cases::check;
use splitter_tests::cases::kernel::Kernel;
use splitter_tests::cases::memory::{Bytes, Memory};
use splitter_tests::cases::spec::{Hook, Instance, Way, load};
use splitter_tests::cases::world::SECOND;
use std::collections::BTreeSet;
use std::path::Path;

fn instances() -> Vec<Instance> {
    load(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/data/cases"
    )))
    .expect("the case files")
}

/// All failures at once: one fault often shows in many cases, and their names tell what they share.
fn report(place: &str, failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} cases fail {place}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_case_on_the_host() {
    let instances = instances();
    let failures: Vec<String> = instances
        .iter()
        .filter_map(|instance| {
            let error = check::host(instance).err()?;
            Some(format!("{}: {error:#}", instance.name()))
        })
        .collect();
    println!("{} cases on the host", instances.len());
    report("on the host", &failures);
    assert!(instances.len() >= 150, "only {} cases", instances.len());
}

#[test]
fn every_case_in_the_kernel() {
    let mut kernel = Kernel::load().expect("the object");
    let before: u64 = kernel.counters().expect("counters").iter().sum();
    let (mut ran, mut short, mut ingress, mut restored) = (0, 0, 0, 0);
    let mut failures = Vec::new();
    for instance in instances() {
        match check::in_kernel(&instance, &mut kernel) {
            Ok(true) => {
                ran += 1;
                match instance.case.hook {
                    Hook::Xdp => ingress += 1,
                    Hook::Egress => restored += u64::from(instance.case.counter.is_some()),
                }
            }
            Ok(false) => short += 1,
            Err(error) => failures.push(format!("{}: {error:#}", instance.name())),
        }
    }
    println!(
        "{ran} cases in the kernel; {short} frames too short for its test runs, on the host only"
    );
    report("in the kernel", &failures);
    assert!(ran >= 150, "only {ran} cases");
    let after: u64 = kernel.counters().expect("counters").iter().sum();
    assert_eq!(
        after - before,
        ingress + restored,
        "each packet at ingress and each restored local reply is counted once"
    );
}

/// Wherever the rewrite of a local reply stops, it is dropped and counted as a fault.
#[test]
fn a_local_reply_that_is_half_rewritten_is_dropped() {
    let mut tried = 0;
    for instance in instances() {
        let case = &instance.case;
        if case.hook != Hook::Egress || case.counter.as_deref() != Some("reply_local") {
            continue;
        }
        let prepared = check::Prepared::new(&instance, 1_000 * SECOND).expect("a case");
        let mut headers = Headers::default();
        let whole = Bytes::new(&prepared.world, 1, prepared.frame.clone());
        let parsed = parse(&whole, &mut headers);
        let (source, quoted) = if headers.ipv6 == 1 { (8, 24) } else { (12, 16) };
        let (source, l4) = (headers.l3 + source, headers.l4);
        let places = match parsed {
            Parsed::Transport => vec![source, l4],
            // A later fragment has no ports.
            Parsed::Fragment => vec![source],
            // Of an ICMP error: the outer source, the quoted destination, the checksum over both.
            Parsed::Icmp | Parsed::Icmpv6 => vec![source, l4 + 8 + quoted, l4 + 2],
            other => panic!("{}: {other:?}", instance.name()),
        };
        for refuses in places {
            let memory = Memory::new(&prepared.world, 1_000 * SECOND);
            let mut leaving = Bytes::new(&prepared.world, 1, prepared.frame.clone());
            leaving.refuses = Some(refuses);
            let verdict = check::leave(&mut leaving, &memory);
            let name = instance.name();
            assert_eq!(verdict, Verdict::Drop, "{name}, stopped at {refuses}");
            assert_eq!(memory.counted(), [Counter::DropInternal], "{name}");
            tried += 1;
        }
    }
    assert!(tried >= 8, "only {tried}");
}

#[test]
fn each_counter_has_a_case() {
    let named: BTreeSet<String> = instances()
        .iter()
        .filter_map(|instance| {
            let counter = instance.case.counter.clone();
            counter.or_else(|| {
                instance.case.goes_to?;
                let error = instance.case.frame.contains_key("quote");
                Some(match (error, instance.way) {
                    (true, Way::Local) => Counter::DeliverIcmp.name().into(),
                    (true, _) => Counter::ForwardIcmp.name().into(),
                    (false, way) => format!("{way:?}"),
                })
            })
        })
        .collect();
    // Counted by way of `goes_to`; and two that no single packet can bring about: a set that others keep locked, and
    // a fault of splitter.
    let elsewhere = [
        Counter::ForwardDsr,
        Counter::ForwardNat,
        Counter::DeliverLocal,
        Counter::DropBusy,
        Counter::DropInternal,
    ];
    for way in ["Dsr", "Nat", "Local"] {
        assert!(named.contains(way), "no case goes to a {way} backend");
    }
    for counter in Counter::ALL {
        assert!(
            elsewhere.contains(counter) || named.contains(counter.name()),
            "no case for {}",
            counter.name()
        );
    }
}

#[test]
fn names_of_cases_are_unique() {
    let mut seen = BTreeSet::new();
    for instance in instances() {
        assert!(seen.insert(instance.name()), "twice: {}", instance.name());
    }
}

#[test]
fn verifier() {
    let kernel = Kernel::load().expect("the object");
    for program in kernel.verified() {
        println!(
            "{}: {} instructions verified, loaded in {:.1?}",
            program.name, program.instructions, program.load
        );
        // The kernel gives up at a million; half of it leaves room for other kernels' verifiers.
        assert!(
            (1..500_000).contains(&program.instructions),
            "{}: {} instructions",
            program.name,
            program.instructions
        );
    }
}
