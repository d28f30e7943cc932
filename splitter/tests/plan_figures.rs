//! The figures of `docs/placement.md`, printed with `--nocapture`, and bounds that hold the planner to them. Seeds are fixed.

mod placement;

use std::time::{Duration, Instant};

use placement::{WHOLE, members, moved, owners, share, two, versions};
use splitter::model::Seed;

/// What `docs/placement.md` says about a backend that comes or goes, and bounds that hold it to that.
#[test]
fn a_backend_that_comes_or_goes_moves_little() {
    println!("slots  backends  moved    of the least possible");
    // (slots, backends, most that may move, in times of the least possible)
    let rows = [
        (16_384, 1, 1.05),
        (16_384, 2, 1.1),
        (16_384, 4, 1.25),
        (16_384, 8, 1.7),
        (16_384, 16, 3.0),
        (16_384, 64, 20.0),
        (65_536, 8, 1.2),
        (65_536, 64, 8.0),
    ];
    for (slots, count, bound) in rows {
        let rounds = 4;
        let (mut total, mut least) = (0, 0.0);
        for round in 0..rounds {
            let seed = Seed([round, 11]);
            let without = members(0, &vec![1; count]);
            let mut with = without.clone();
            // Any of them may be the one that is not there: which one it is, the round decides.
            with.extend(members(5_000 + round as u16, &[1]));
            let before = owners(slots, seed, &[share("blue", WHOLE, &without)]);
            let after = owners(slots, seed, &[share("blue", WHOLE, &with)]);
            total += moved(&before, &after);
            least += f64::from(slots) / (count + 1) as f64;
        }
        let ratio = total as f64 / least;
        let percent = 100.0 * total as f64 / (f64::from(slots) * rounds as f64);
        println!(
            "{slots:>5}  {count:>2} ⇄ {:>2}   {percent:>4.1} %   {ratio:.2}×",
            count + 1
        );
        assert!(
            ratio <= bound,
            "{ratio:.2} times the least possible, bound {bound}"
        );
    }
}

/// The same for backends of unequal weights: one joins, and one gets another weight.
#[test]
fn unequal_weights_move_little_too() {
    let rounds = 10;
    let (mut joined, mut reweighted) = (0, 0);
    for round in 0..rounds {
        let placed = |weights: &[u32]| {
            owners(
                16_384,
                Seed([round, 17]),
                &[share("blue", WHOLE, &members(0, weights))],
            )
        };
        let before = placed(&[1, 2, 4, 8]);
        joined += moved(&before, &placed(&[1, 2, 4, 8, 5]));
        reweighted += moved(&before, &placed(&[1, 2, 4, 13]));
    }
    let slots = 16_384.0 * rounds as f64;
    // The newcomer's share is 5 of 20; the one of 8 of 15 gets 13 of 20.
    let joined = joined as f64 / (slots * 5.0 / 20.0);
    let reweighted = reweighted as f64 / (slots * (13.0 / 20.0 - 8.0 / 15.0));
    println!(
        "weights 1 2 4 8: 5 joins {joined:.2}×, 8 becomes 13 {reweighted:.2}× the least possible"
    );
    assert!(joined <= 1.15, "{joined:.2}");
    assert!(reweighted <= 1.25, "{reweighted:.2}");
}

/// The contract bounds the fullest backend; this is how far the emptiest is behind.
#[test]
fn the_emptiest_backend_is_not_far_behind() {
    for count in [2_u16, 8, 64] {
        let mut worst: f64 = 0.0;
        for round in 0..10 {
            let backends = members(0, &vec![1; usize::from(count)]);
            let placed = owners(
                16_384,
                Seed([round, 19]),
                &[share("blue", WHOLE, &backends)],
            );
            let exact = 16_384.0 / f64::from(count);
            for number in 0..count {
                let has = placed.iter().filter(|owner| **owner == number).count();
                worst = worst.max(1.0 - has as f64 / exact);
            }
        }
        println!(
            "{count} backends: the emptiest is {:.1} % behind its share",
            100.0 * worst
        );
        assert!(worst <= 0.15, "{worst:.3}");
    }
}

/// What `docs/placement.md` says about versions in the middle: their ranges move at both ends.
#[test]
fn a_version_in_the_middle_keeps_most_of_its_backends() {
    let mut worst: f64 = 0.0;
    let (mut total, mut least) = (0, 0);
    for round in 0..20 {
        let seed = Seed([round, 13]);
        let backends = [vec![1; 4]];
        let placed = |weights: &[u16]| owners(16_384, seed, &versions(weights, &backends));
        let pairs = [
            ([8_000, 1_000, 1_000], [7_000, 2_000, 1_000]),
            ([6_000, 3_000, 1_000], [5_000, 3_000, 2_000]),
        ];
        for (before, after) in pairs {
            let moved = moved(&placed(&before), &placed(&after));
            worst = worst.max(moved as f64 / 1_638.0);
            total += moved;
            least += 1_638;
        }
    }
    let mean = f64::from(total as u32) / f64::from(least);
    println!(
        "three versions of 4 backends, 10 % change hands: {mean:.2}× the least possible, at worst {worst:.2}×"
    );
    assert!(worst <= 3.0, "{worst:.2}");
}

/// The largest service that is promised. The best of a few, since other tests run meanwhile; they,
/// and a debug build, are why the bound is so many times what it takes.
#[test]
fn the_largest_service_is_placed_quickly() {
    let weights = [1; 64];
    let place_once = |low| {
        let start = Instant::now();
        let placed = two(65_536, Seed([low, 2]), 5_000, &weights, &weights);
        assert_eq!(placed.len(), 65_536);
        start.elapsed()
    };
    let best = (0..5).map(place_once).min().expect("five runs");
    println!("65,536 slots, 2 versions of 64 backends: {best:?}");
    assert!(best < Duration::from_secs(20), "{best:?}");
}
