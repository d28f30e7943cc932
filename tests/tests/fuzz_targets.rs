//! The fuzz targets without a fuzzer: every input in `tests/data/fuzz`, each of which failed once or leads far, and five
//! seconds of random ones. `SPLITTER_SEED` says which.

use std::path::Path;
use std::time::{Duration, Instant};

use splitter_tests::cases::fuzz::TARGETS;
use splitter_tests::cases::random::Random;

/// Time for all targets together.
const TIME: Duration = Duration::from_secs(5);

#[test]
fn no_known_input_fails() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fuzz");
    for (name, target) in TARGETS {
        let folder = std::fs::read_dir(data.join(name)).expect("a folder for each target");
        let mut inputs = 0;
        for file in folder {
            let path = file.expect("a file").path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect("a readable file"));
            inputs += 1;
        }
        assert!(inputs > 0, "no input for {name}");
    }
}

#[test]
fn no_random_input_fails() {
    let seed = match std::env::var("SPLITTER_SEED") {
        Ok(text) => text.parse().expect("SPLITTER_SEED is a number"),
        Err(_) => 20_261_201,
    };
    println!("SPLITTER_SEED={seed}");
    let mut random = Random(seed);
    for (name, target) in TARGETS {
        let end = Instant::now() + TIME / TARGETS.len() as u32;
        let mut inputs = 0_u64;
        while Instant::now() < end {
            let length = random.below(160) as usize;
            let input: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                panic!("SPLITTER_SEED={seed}: {name}, input {inputs}: {digits}");
            }
            inputs += 1;
        }
        println!("{name}: {inputs} inputs");
        assert!(inputs > 100, "{name}: only {inputs} inputs");
    }
}
