//! The named packet cases, on the host and in the kernel. With `--nocapture` the tests print how many there are and
//! what the verifier said.

use splitter_common::abi::Counter;
use splitter_tests::cases::check;
use splitter_tests::cases::kernel::Kernel;
use splitter_tests::cases::spec::{Hook, Instance, load};
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

#[test]
fn each_counter_has_a_case() {
    let named: BTreeSet<String> = instances()
        .iter()
        .filter_map(|instance| {
            let counter = instance.case.counter.clone();
            counter.or_else(|| {
                instance.case.goes_to?;
                Some(format!("{:?}", instance.way))
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
