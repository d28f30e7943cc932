//! Probe decisions from made-up facts.

use super::*;
use crate::facts::Linker;

fn compiler(origin: Origin) -> Compiler {
    let folder = match origin {
        Origin::Debian => "/usr/bin",
        Origin::Environment => "/opt/bpf/bin",
        Origin::Rustup => "",
    };
    Compiler {
        origin,
        rustc: Path::new(folder).join("rustc"),
        cargo: Path::new(folder).join("cargo"),
        minor: 96,
        llvm: 22,
        llvm_library: Some("/usr/lib/x86_64-linux-gnu/libLLVM.so.22.1".into()),
        prebuilt_core: origin == Origin::Debian,
        has_core: origin == Origin::Debian,
        clippy: (origin == Origin::Debian).then(|| "/usr/bin/cargo-clippy".into()),
    }
}

/// A fresh Debian machine with rustup's stable Rust.
fn fresh() -> Facts {
    Facts {
        root: true,
        kernel: (6, 18),
        environment: None,
        debian: None,
        rustup: Some(compiler(Origin::Rustup)),
        apt: Apt::Offers(96),
        lists_fresh: true,
        has_rustup: true,
        linker: None,
        ip: true,
        rustfmt: true,
        clippy: true,
        tools: "/src/target/tools".into(),
    }
}

/// The same after set-up.
fn ready() -> Facts {
    Facts {
        debian: Some(compiler(Origin::Debian)),
        apt: Apt::Unknown,
        linker: Some(Linker {
            path: "/src/target/tools/bin/bpf-linker".into(),
            version: Some("bpf-linker 0.13.0".into()),
            llvm: Some(22),
            from_environment: false,
        }),
        ..fresh()
    }
}

fn missing(facts: &Facts) -> Vec<&'static str> {
    all(facts)
        .iter()
        .filter(|need| matches!(need.state, State::Missing(..)))
        .map(|need| need.name)
        .collect()
}

/// What is typed for one need.
fn typed(facts: &Facts, name: &str) -> Vec<String> {
    let needs = all(facts);
    let need = needs
        .iter()
        .find(|need| need.name == name)
        .expect("a need of that name");
    match &need.state {
        State::Missing(_, Remedy::Commands(lines)) => lines.iter().map(Line::show).collect(),
        other => panic!("{name} is not met by commands: {other:?}"),
    }
}

fn by_hand(facts: &Facts, name: &str) -> (String, String) {
    let needs = all(facts);
    let need = needs
        .iter()
        .find(|need| need.name == name)
        .expect("a need of that name");
    match &need.state {
        State::Missing(why, Remedy::ByHand(what)) => (why.clone(), what.clone()),
        other => panic!("{name} is not to be met by hand: {other:?}"),
    }
}

#[test]
fn nothing_is_missing_once_all_is_there() {
    assert_eq!(missing(&ready()), Vec::<&str>::new());
}

#[test]
fn a_fresh_debian_gets_the_packages_and_no_update() {
    assert_eq!(
        missing(&fresh()),
        ["BPF compiler", "clippy for BPF", "BPF linker"]
    );
    assert_eq!(
        typed(&fresh(), "BPF compiler"),
        [
            "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 -o \
          Acquire::Retries=3 cargo-web libstd-rust-web-dev-bpf rust-web-clippy"
        ]
    );
}

#[test]
fn what_old_package_lists_say_is_not_believed() {
    for apt in [Apt::NoLists, Apt::Unknown, Apt::Offers(OLDEST_RUST - 1)] {
        let facts = Facts {
            apt,
            lists_fresh: false,
            ..fresh()
        };
        assert_eq!(
            typed(&facts, "BPF compiler"),
            ["apt-get update -o Acquire::Retries=3"],
            "{apt:?}"
        );
    }
}

#[test]
fn elsewhere_or_where_debian_is_too_old_rustup_brings_the_source_of_core() {
    for apt in [Apt::Absent, Apt::Unknown, Apt::Offers(OLDEST_RUST - 1)] {
        let facts = Facts { apt, ..fresh() };
        assert_eq!(
            typed(&facts, "BPF compiler"),
            ["rustup component add rust-src"],
            "{apt:?}"
        );
    }
    let facts = Facts {
        apt: Apt::Absent,
        ..fresh()
    };
    let linker = typed(&facts, "BPF linker");
    assert!(
        linker[3].contains("--features llvm-22 "),
        "its LLVM is known already: {linker:?}"
    );
    let facts = Facts {
        apt: Apt::Absent,
        has_rustup: false,
        ..fresh()
    };
    assert!(by_hand(&facts, "BPF compiler").1.contains("rustup"));
}

#[test]
fn the_environment_goes_before_debian_and_debian_before_rustup() {
    let mut facts = ready();
    if let Some(rustup) = &mut facts.rustup {
        rustup.has_core = true;
    }
    assert_eq!(chosen(&facts).map(|c| c.origin), Some(Origin::Debian));
    facts.environment = Some(Ok(Compiler {
        has_core: true,
        ..compiler(Origin::Environment)
    }));
    assert_eq!(chosen(&facts).map(|c| c.origin), Some(Origin::Environment));
    facts.environment = None;
    facts.debian = None;
    assert_eq!(chosen(&facts).map(|c| c.origin), Some(Origin::Rustup));
}

#[test]
fn a_compiler_that_is_too_old_is_not_taken() {
    let mut facts = ready();
    if let Some(debian) = &mut facts.debian {
        debian.minor = OLDEST_RUST - 1;
    }
    assert_eq!(chosen(&facts), None);
}

#[test]
fn a_useless_environment_is_named_and_not_passed_over() {
    let facts = Facts {
        environment: Some(Err("`/x/rustc -vV` does not run or names no LLVM".into())),
        ..ready()
    };
    let (why, what) = by_hand(&facts, "BPF compiler");
    assert!(
        why.contains("/x/rustc") && what.contains("unset"),
        "{why}: {what}"
    );
    assert_eq!(chosen(&facts), None);
}

#[test]
fn the_linker_is_built_for_the_compilers_llvm_into_the_checkout() {
    let facts = Facts {
        linker: None,
        ..ready()
    };
    assert_eq!(
        typed(&facts, "BPF linker"),
        [
            "mkdir -p /src/target/tools/llvm/lib",
            "ln -sfn /usr/lib/x86_64-linux-gnu/libLLVM.so.22.1 /src/target/tools/llvm/lib/libLLVM.so",
            "ln -sfn /usr/lib/x86_64-linux-gnu/libLLVM.so.22.1 /src/target/tools/llvm/lib/libLLVM.so.22.1",
            "LLVM_PREFIX=/src/target/tools/llvm cargo install bpf-linker --version 0.13.0 --locked --force --quiet \
             --profile dev --no-default-features --features llvm-22 --root /src/target/tools",
        ]
    );
}

#[test]
fn a_linker_of_another_version_or_an_older_llvm_is_replaced() {
    let mut facts = ready();
    let linker = facts.linker.clone().expect("ready has one");
    for wrong in [
        Linker {
            version: Some("bpf-linker 0.12.0".into()),
            ..linker.clone()
        },
        Linker {
            version: None,
            ..linker.clone()
        },
        Linker {
            llvm: Some(21),
            ..linker.clone()
        },
    ] {
        facts.linker = Some(wrong);
        assert_eq!(missing(&facts), ["BPF linker"]);
    }
    facts.linker = Some(Linker {
        version: None,
        from_environment: true,
        ..linker
    });
    assert!(
        by_hand(&facts, "BPF linker")
            .1
            .contains("SPLITTER_BPF_LINKER")
    );
}

#[test]
fn an_llvm_that_the_linker_does_not_know_is_refused_before_an_hour_is_lost() {
    let mut facts = Facts {
        linker: None,
        ..ready()
    };
    if let Some(debian) = &mut facts.debian {
        debian.llvm = LINKER_LLVM.end() + 1;
    }
    assert!(by_hand(&facts, "BPF linker").1.contains("LLVM"));
}

#[test]
fn missing_components_come_from_rustup_and_an_old_kernel_is_for_the_user() {
    let facts = Facts {
        rustfmt: false,
        clippy: false,
        ..ready()
    };
    assert_eq!(typed(&facts, "rustfmt"), ["rustup component add rustfmt"]);
    assert_eq!(typed(&facts, "clippy"), ["rustup component add clippy"]);
    let facts = Facts {
        ip: false,
        ..ready()
    };
    assert!(typed(&facts, "ip")[0].ends_with(" iproute2"));
    let facts = Facts {
        apt: Apt::Absent,
        ..facts
    };
    assert!(by_hand(&facts, "ip").1.contains("iproute2"));
    let old = Facts {
        kernel: (6, 5),
        ..ready()
    };
    assert_eq!(missing(&old), ["kernel"]);
    assert!(by_hand(&old, "kernel").0.contains("6.5"));
}
