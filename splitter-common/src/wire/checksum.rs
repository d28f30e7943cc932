//! Incremental update of the Internet checksum (RFC 1624, equation 3): `HC' = ~(~HC + ~m + m')`.

use crate::abi::Address;

/// What changed under a checksum: the sum of `~m + m'` over the changed 16-bit words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change(u64);

impl Change {
    /// Nothing.
    #[inline(always)]
    pub const fn none() -> Self {
        Self(0)
    }

    /// A 16-bit word changed. It begins at an even offset of what is summed.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// An IPv4 address changed (both in their mapped form).
    #[inline(always)]
    #[must_use]
    pub const fn v4(self, old: &Address, new: &Address) -> Self {
        self.pair(old, new, 12).pair(old, new, 14)
    }

    /// An IPv6 address changed.
    #[inline(always)]
    #[must_use]
    pub const fn v6(self, old: &Address, new: &Address) -> Self {
        self.pair(old, new, 0)
            .pair(old, new, 2)
            .pair(old, new, 4)
            .pair(old, new, 6)
            .pair(old, new, 8)
            .pair(old, new, 10)
            .v4(old, new)
    }

    /// Two changes under one checksum.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    #[inline(always)]
    const fn pair(self, old: &Address, new: &Address, at: usize) -> Self {
        self.word(
            u16::from_be_bytes([old[at], old[at + 1]]),
            u16::from_be_bytes([new[at], new[at + 1]]),
        )
    }

    /// The checksum after the change.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        let sum = self.0 + !checksum as u64;
        // Fewer than 2^16 words were added, so the sum has at most 32 bits and two folds suffice.
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }

    /// The same for UDP, where zero means "no checksum": none stays none, and none is never made of one
    /// (RFC 768: a computed zero is sent as all ones).
    #[inline(always)]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        match self.apply(checksum) {
            0 => 0xffff,
            new => new,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn full(bytes: &[u8]) -> u16 {
        let mut sum: u32 = bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[test]
    fn agrees_with_the_sum_made_anew() {
        let mut seed = 7;
        for round in 0..20_000_u32 {
            // Sparse bytes too: sums near 0 and 0xffff are where incremental updates go wrong.
            let mask = if round % 3 == 0 { 0x81 } else { 0xff };
            let mut bytes: Vec<u8> = (0..40).map(|_| random(&mut seed) as u8 & mask).collect();
            bytes[39] |= 1;
            let old: Address = bytes[..16].try_into().unwrap();
            let before = full(&bytes);
            let new: Address = core::array::from_fn(|_| random(&mut seed) as u8 & mask);
            let port = random(&mut seed) as u16;
            let old_port = u16::from_be_bytes([bytes[20], bytes[21]]);
            let (change, from) = if round % 2 == 0 {
                (Change::none().v6(&old, &new), 0)
            } else {
                (Change::none().v4(&old, &new), 12)
            };
            bytes[from..16].copy_from_slice(&new[from..]);
            bytes[20..22].copy_from_slice(&port.to_be_bytes());
            let change = change.word(old_port, port);
            assert_eq!(change.apply(before), full(&bytes), "round {round}");
        }
    }

    /// Words where one's complement sums carry, or have two forms of zero.
    const CORNERS: [u16; 12] = [
        0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xff00, 0x00ff, 0xfffd, 0xfffe, 0xffff, 0x0100,
    ];

    /// A checksum over three words, the first of which changes; never over nothing but zeros, whose sum no packet has:
    /// protocol and length are part of it.
    fn three(first: u16, second: u16) -> u16 {
        let [a, b] = first.to_be_bytes();
        let [c, d] = second.to_be_bytes();
        full(&[a, b, c, d, 0, 6])
    }

    #[test]
    fn every_new_word_for_every_corner() {
        for second in CORNERS {
            for old in CORNERS {
                for new in 0..=u16::MAX {
                    let change = Change::none().word(old, new);
                    let after = change.apply(three(old, second));
                    assert_eq!(after, three(new, second), "{old:#x} {new:#x} {second:#x}");
                }
            }
        }
    }

    #[test]
    fn every_old_word_for_every_corner() {
        for second in CORNERS {
            for new in CORNERS {
                for old in 0..=u16::MAX {
                    let change = Change::none().word(old, new);
                    let after = change.apply_udp(three(old, second));
                    let right = match three(new, second) {
                        _ if three(old, second) == 0 => 0,
                        0 => 0xffff,
                        sum => sum,
                    };
                    assert_eq!(after, right, "{old:#x} {new:#x} {second:#x}");
                }
            }
        }
    }

    /// UDP sends a sum of zero as all ones, which is the same number: a change leads on from it.
    #[test]
    fn udp_leads_on_from_all_ones() {
        for old in 0..=u16::MAX {
            // The second word that makes the sum of all three zero's other form.
            let second = !(u32::from(old) + 6).rem_euclid(0xffff) as u16;
            assert!([0, 0xffff].contains(&three(old, second)), "{old:#x}");
            for new in CORNERS {
                let after = Change::none().word(old, new).apply_udp(0xffff);
                let right = match three(new, second) {
                    0 => 0xffff,
                    sum => sum,
                };
                assert_eq!(after, right, "{old:#x} {new:#x}");
            }
        }
    }

    #[test]
    fn addresses_port_and_time_to_live_at_the_corners() {
        for old in CORNERS {
            for new in CORNERS {
                for port in CORNERS {
                    let address = |word: u16| -> Address {
                        core::array::from_fn(|at| word.to_be_bytes()[at % 2])
                    };
                    let ttl = port.to_be_bytes()[0] | 1;
                    let sum = |word: u16, port: u16, ttl: u8| {
                        let mut bytes = address(word).to_vec();
                        bytes.extend(port.to_be_bytes());
                        bytes.extend([ttl, 6]);
                        full(&bytes)
                    };
                    let change = Change::none()
                        .v6(&address(old), &address(new))
                        .word(old, port)
                        .word(
                            u16::from_be_bytes([ttl, 6]),
                            u16::from_be_bytes([ttl - 1, 6]),
                        );
                    assert_eq!(change.apply(sum(old, old, ttl)), sum(new, port, ttl - 1));
                }
            }
        }
    }

    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(Change::none().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    #[test]
    fn udp_keeps_none_and_never_makes_none() {
        assert_eq!(Change::none().word(1, 2).apply_udp(0), 0);
        assert_eq!(
            Change::none().word(0x5555, 0x3285).apply_udp(0xdd2f),
            0xffff
        );
    }
}
