//! The version cut: which part of the seeded order of slots each version gets.

use std::cmp::Reverse;
use std::ops::Range;

use super::{Share, keyed};
use crate::model::Seed;

const WHOLE: u64 = 10_000;

/// How many of `slots` slots each weight gets, by largest remainder: each quota is its exact share rounded down or up,
/// and together they are `slots`. Weights (basis points) must sum to 10,000.
///
/// Equal remainders are settled for the smaller share, then for the earlier one, so whether a positive weight gets no
/// slot at all does not depend on the order.
///
/// # Panics
///
/// If the weights do not sum to 10,000.
pub fn quotas(slots: u32, basis_points: &[u16]) -> Vec<u32> {
    let sum: u64 = basis_points.iter().map(|weight| u64::from(*weight)).sum();
    assert_eq!(sum, WHOLE, "weights in basis points");
    let exact = |index: usize| u64::from(slots) * u64::from(basis_points[index]);
    let mut quotas: Vec<u32> = (0..basis_points.len())
        .map(|index| (exact(index) / WHOLE) as u32)
        .collect();
    let left = slots - quotas.iter().sum::<u32>();
    let mut by_remainder: Vec<usize> = (0..basis_points.len()).collect();
    by_remainder.sort_by_key(|&index| (Reverse(exact(index) % WHOLE), basis_points[index], index));
    for &index in &by_remainder[..left as usize] {
        quotas[index] += 1;
    }
    quotas
}

/// The rank of a version in the order in which versions take their ranges.
pub(super) fn rank(seed: Seed, version: &str) -> (u64, &str) {
    (keyed::hash(seed, "version", version.as_bytes()), version)
}

/// A version's part of the seeded order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Positions in the order.
    pub(super) range: Range<usize>,
    /// From which end the version's backends are spread: from the end that stays put when the weight changes, so that
    /// what the version keeps, its backends keep.
    pub(super) from_the_end: bool,
}

/// Cuts the order for `ranked` shares: consecutive ranges, so that between two versions a change of weights moves the
/// slots between the old and the new cut and no others.
pub(super) fn cut(slots: u32, ranked: &[&Share<'_>]) -> Vec<Cut> {
    let weights: Vec<u16> = ranked.iter().map(|share| share.basis_points).collect();
    let slots_of = quotas(slots, &weights);
    let all = slots as usize;
    let mut start = 0;
    slots_of
        .into_iter()
        .enumerate()
        .map(|(index, quota)| {
            let range = start..start + quota as usize;
            start = range.end;
            let last = index > 0 && index + 1 == ranked.len();
            let from_the_end = range.end == all && (range.start > 0 || last);
            Cut {
                range,
                from_the_end,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_shares_rounded_by_largest_remainder() {
        assert_eq!(quotas(16_384, &[9_999, 1]), [16_382, 2]);
        assert_eq!(quotas(64, &[3_333, 3_333, 3_334]), [21, 21, 22]);
        assert_eq!(quotas(64, &[0, 10_000]), [0, 64]);
        assert_eq!(quotas(64, &[9_999, 1]), [64, 0]);
    }

    #[test]
    fn equal_remainders_favour_the_smaller_share_in_any_order() {
        // 64 slots: 78 and 703 basis points leave the same remainder, and one of the two must go short.
        let weights = [703, 78, 9_219];
        assert_eq!(quotas(64, &weights), [4, 1, 59]);
        let mut reversed = weights;
        reversed.reverse();
        assert_eq!(quotas(64, &reversed), [59, 1, 4]);
    }
}
