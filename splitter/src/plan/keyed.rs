//! Keyed choices: SipHash-2-4 of names, and cheap mixing of numbers that were keyed by it. Written out here because every
//! host of a fleet, and every later build, must make the same choices: the hashers of `std` promise no such thing.

use crate::model::Seed;

/// SipHash-2-4 of `bytes` under the seed. What is hashed begins with a `purpose`, so that one seed serves several.
pub(super) fn hash(seed: Seed, purpose: &str, bytes: &[u8]) -> u64 {
    let message = [purpose.as_bytes(), &[0], bytes].concat();
    siphash(seed.0, &message)
}

fn siphash([k0, k1]: [u64; 2], message: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = message.chunks_exact(8);
    let mut compress = |word: u64| {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    };
    for word in &mut words {
        compress(u64::from_le_bytes(word.try_into().expect("eight bytes")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    last[7] = message.len() as u8;
    compress(u64::from_le_bytes(last));
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// The finalizer of SplitMix64: a bijection in which every bit of the result depends on every bit of the argument.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The numbers below `count` in an order that depends on the seed alone.
pub(super) fn shuffled(seed: Seed, count: u32) -> Vec<u32> {
    let mut state = hash(seed, "slot order", &count.to_le_bytes());
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..order.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // A multiplication takes the place of a modulo; its bias is `last` in 2^64.
        let chosen = (u128::from(mix(state)) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the paper's reference implementation: key 00 01 … 0f, message 00 01 … (length − 1).
    #[test]
    fn siphash_gives_the_reference_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(siphash(key, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash(key, &message[..8]), 0x93f5_f579_9a93_2462);
        assert_eq!(siphash(key, &message), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn shuffled_holds_every_number_once() {
        let mut order = shuffled(Seed([1, 2]), 4096);
        assert_ne!(order, (0..4096).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..4096).collect::<Vec<_>>());
    }
}
