//! Weights to change to, in an order that a seed fixes.

/// Seed of the sequences; `SPLITTER_SEED` sets another.
const SEED: u64 = 0x5eed_0011;

/// The seed in force.
///
/// # Panics
///
/// If `SPLITTER_SEED` is set to something that is not a number.
pub fn seed() -> u64 {
    match std::env::var("SPLITTER_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("SPLITTER_SEED is {text:?}: expected a number")),
        Err(_) => SEED,
    }
}

/// An endless sequence of shares for green, in percent with two decimals; prints its seed for `suite`.
///
/// Ramps, jumps, all, nothing and single basis points: each is a case of its own for slots in transition.
///
/// # Panics
///
/// If `SPLITTER_SEED` is set to something that is not a number.
pub fn sequence(suite: &str) -> impl Iterator<Item = f64> {
    let seed = seed();
    println!("{suite}: SPLITTER_SEED={seed}");
    let mut random = Random(seed);
    let mut last = 5_000_u64;
    std::iter::repeat_with(move || {
        last = match random.below(8) {
            0 => 0,
            1 => 10_000,
            2 => 1 + random.below(100),
            3 => (last + 500).min(10_000),
            4 => last.saturating_sub(500),
            _ => random.below(10_001),
        };
        last as f64 / 100.0
    })
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; the bias of the remainder does not matter here.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }
}
