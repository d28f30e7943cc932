//! Room in the arrays that services share.

use std::ops::Range;

/// The first free range of `length` in `0..room`, `taken` being in any order.
pub(super) fn first_free(taken: &[Range<u32>], length: u32, room: u32) -> Option<u32> {
    let mut sorted: Vec<&Range<u32>> = taken.iter().filter(|range| !range.is_empty()).collect();
    sorted.sort_by_key(|range| range.start);
    let mut start = 0;
    for range in sorted {
        if start + length <= range.start {
            return Some(start);
        }
        start = start.max(range.end);
    }
    (start.checked_add(length)? <= room).then_some(start)
}

/// Backend numbers to set aside for each new service beyond those it needs now: as many again, at least 16, as far as
/// there is room for all.
pub(super) fn spare(count: u32, free: u32, wanted_by_all: u32, services: u32) -> u32 {
    let fair = free.saturating_sub(wanted_by_all) / services.max(1);
    count.max(16).min(fair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_used_first() {
        assert_eq!(first_free(&[], 8, 8), Some(0));
        assert_eq!(first_free(&[], 9, 8), None);
        assert_eq!(first_free(&[0..8, 16..24], 8, 64), Some(8));
        assert_eq!(first_free(&[16..24, 0..8], 9, 64), Some(24));
        assert_eq!(first_free(&[16..24, 0..8], 9, 32), None);
        assert_eq!(first_free(&[0..8, 8..8], 8, 16), Some(8));
    }

    #[test]
    fn a_thousand_services_of_64_backends_fit() {
        let room = crate::dataplane::MAX_BACKENDS;
        let each = 64 + spare(64, room, 64_000, 1_000);
        assert!(each > 64 && 1_000 * each <= room, "{each}");
        assert_eq!(spare(4, room, 4, 1), 16);
        assert_eq!(spare(100, room, 100, 1), 100);
    }
}
