//! The planner's promises, as properties. Where a bound is statistical the seeds are fixed; `PROPTEST_RNG_SEED` fixes
//! the other cases.

mod placement;

use std::collections::{BTreeSet, HashMap};

use placement::{WHOLE, members, moved, owners, share, two, versions};
use proptest::prelude::*;
use splitter::model::Seed;
use splitter::plan::{Member, PlaceError, Placement, Share, delta, least_weight, place, quotas};

fn counts(owners: &[u16]) -> HashMap<u16, u32> {
    let mut counts = HashMap::new();
    for owner in owners {
        *counts.entry(*owner).or_default() += 1;
    }
    counts
}

/// Fails unless the fullest of `members` is within 2 % or one slot of its share of what they have together.
fn assert_balanced(counts: &HashMap<u16, u32>, members: &[Member]) -> Result<(), TestCaseError> {
    let of = |member: &Member| f64::from(counts.get(&member.number).copied().unwrap_or(0));
    let slots: f64 = members.iter().map(of).sum();
    let weights: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
    for member in members {
        let exact = slots * f64::from(member.weight) / weights;
        let most = (exact * 1.02).max(exact + 1.0) + 1e-6;
        prop_assert!(
            of(member) <= most,
            "backend {} has {} slots of {exact}",
            member.number,
            of(member)
        );
    }
    Ok(())
}

fn seed() -> impl Strategy<Value = Seed> {
    any::<[u64; 2]>().prop_map(Seed)
}

fn slots() -> impl Strategy<Value = u32> {
    (6_u32..=14).prop_map(|bits| 1 << bits)
}

fn backend_weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![Just(1_u32), 1_u32..10, 1_u32..=65_535];
    prop_oneof![
        (1_usize..20).prop_map(|count| vec![1; count]),
        proptest::collection::vec(weight, 1..20),
    ]
}

/// Weights that sum to 100 %, some of them 0.
fn version_weights() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(prop_oneof![Just(0), 0..=WHOLE, 0..=20_u16], 0..6).prop_map(|cuts| {
        let mut cuts: Vec<u16> = cuts.into_iter().chain([0, WHOLE]).collect();
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

    /// Each version has its exact share rounded down or up, and its backends are balanced in it.
    #[test]
    fn quotas_are_exact_and_backends_balanced(
        slots in slots(), seed in seed(), weights in version_weights(),
        backends in proptest::collection::vec(backend_weights(), 1..4),
    ) {
        let shares = versions(&weights, &backends);
        let quotas = quotas(slots, &weights);
        prop_assert_eq!(quotas.iter().sum::<u32>(), slots);
        let starved = weights.iter().zip(&quotas).any(|(weight, quota)| *weight > 0 && *quota == 0);
        let placed = place(slots, seed, &shares);
        if starved {
            let refused = matches!(placed, Err(PlaceError::NoSlot { .. }));
            prop_assert!(refused, "{placed:?}");
            return Ok(());
        }
        let Ok(Placement::Assigned(owners)) = placed else { panic!("{placed:?}") };
        prop_assert_eq!(owners.len(), slots as usize);
        let counts = counts(&owners);
        // Which of two equal weights gets the odd slot is the seed's choice, how many there are is not.
        let mut placed = Vec::new();
        for share in &shares {
            let has: u32 = share.members.iter().filter_map(|member| counts.get(&member.number)).sum();
            let exact = f64::from(slots) * f64::from(share.basis_points) / f64::from(WHOLE);
            prop_assert!((f64::from(has) - exact).abs() < 1.0, "{has} slots of {exact}");
            prop_assert!(f64::from(has) == exact.floor() || f64::from(has) == exact.ceil());
            placed.push((share.basis_points, has));
            assert_balanced(&counts, &share.members)?;
        }
        let mut expected: Vec<_> = weights.iter().copied().zip(quotas).collect();
        expected.sort_unstable();
        placed.sort_unstable();
        prop_assert_eq!(placed, expected);
    }

    /// Neither the order of versions and backends nor what was in force before plays a part; numbers are only labels.
    #[test]
    fn placement_is_a_function_of_the_set(
        slots in slots(), seed in seed(), order in any::<u64>(), weights in version_weights(),
        backends in proptest::collection::vec(backend_weights(), 1..4),
    ) {
        let shares = versions(&weights, &backends);
        let mut shuffled = shares.clone();
        let turn = order as usize % shuffled.len();
        shuffled.rotate_left(turn);
        for share in &mut shuffled {
            share.members.reverse();
            for member in &mut share.members {
                member.number += 500;
            }
        }
        match (place(slots, seed, &shares), place(slots, seed, &shuffled)) {
            (Ok(Placement::Assigned(one)), Ok(Placement::Assigned(other))) => {
                let one: Vec<u16> = one.iter().map(|number| number + 500).collect();
                prop_assert!(one == other);
            }
            (Err(PlaceError::NoSlot { .. }), Err(PlaceError::NoSlot { .. })) => {}
            other => panic!("{other:?}"),
        }
        prop_assert_eq!(place(slots, seed, &shares), place(slots, seed, &shares));
    }

    /// Up a ramp a version only gains slots and down it only loses them, and what both ends of a step give to a version
    /// has the same backend at both: a step moves exactly the slots that the quotas differ by.
    #[test]
    fn ramps_between_two_versions_are_monotone_and_minimal(
        slots in slots(), seed in seed(), blue in backend_weights(), green in backend_weights(),
        steps in proptest::collection::btree_set(0..=WHOLE, 2..8),
    ) {
        let least = least_weight(slots).0;
        // The ends of the ramp are always among the steps: there a version's range has no end that tells its direction.
        let steps: BTreeSet<u16> = steps
            .into_iter()
            .chain([0, WHOLE])
            .filter(|green| *green == 0 || *green == WHOLE || (least..=WHOLE - least).contains(green))
            .collect();
        let placed: Vec<Vec<u16>> = steps.iter().map(|step| two(slots, seed, *step, &blue, &green)).collect();
        for (lower, higher) in placed.iter().zip(placed.iter().skip(1)) {
            for (before, after) in lower.iter().zip(higher) {
                if *before >= 1000 {
                    prop_assert_eq!(after, before, "green keeps what it has, with the same backend");
                }
                if *after < 1000 {
                    prop_assert_eq!(before, after, "blue gains nothing");
                }
            }
            let of_green = |owners: &[u16]| owners.iter().filter(|owner| **owner >= 1000).count();
            prop_assert_eq!(moved(lower, higher), of_green(higher) - of_green(lower));
        }
    }

    /// The other versions of a service do not spoil a ramp between two of them, below 100 %: those of weight 0 have no slots.
    #[test]
    fn idle_versions_do_not_spoil_a_ramp(
        seed in seed(), backends in backend_weights(), mut steps in proptest::collection::vec(1..WHOLE, 2),
        pair in proptest::sample::subsequence(vec![0_usize, 1, 2, 3], 2),
    ) {
        steps.sort_unstable();
        let at = |weight: u16| {
            let mut weights = [0; 4];
            weights[pair[0]] = WHOLE - weight;
            weights[pair[1]] = weight;
            owners(16_384, seed, &versions(&weights, std::slice::from_ref(&backends)))
        };
        let (lower, higher) = (at(steps[0]), at(steps[1]));
        let growing = 1000 * pair[1] as u16;
        let of = |owners: &[u16]| owners.iter().filter(|owner| **owner / 1000 == growing / 1000).count();
        prop_assert_eq!(moved(&lower, &higher), of(&higher) - of(&lower));
    }

    /// With k versions the cut moves at most k − 1 times the slots that have to change their version.
    #[test]
    fn more_versions_move_a_bounded_number_of_slots(
        seed in seed(), before in version_weights(), after in version_weights(),
    ) {
        let slots = 16_384;
        let count = before.len().max(after.len());
        let fill = |mut weights: Vec<u16>| { weights.resize(count, 0); weights };
        let (before, after) = (fill(before), fill(after));
        let one = [vec![1]];
        let placed = |weights: &[u16]| place(slots, seed, &versions(weights, &one));
        let (Ok(Placement::Assigned(a)), Ok(Placement::Assigned(b))) = (placed(&before), placed(&after)) else {
            return Ok(());
        };
        // What each version has gained has to move, whatever the cut is.
        let of = |owners: &[u16], version: usize| owners.iter().filter(|owner| usize::from(**owner) == 1000 * version).count();
        let least: usize = (0..count).map(|version| of(&b, version).saturating_sub(of(&a, version))).sum();
        let most = least * (count - 1);
        prop_assert!((least..=most).contains(&moved(&a, &b)), "{} moved, not {least} to {most}", moved(&a, &b));
    }

    #[test]
    fn the_delta_leads_from_one_to_the_other(
        slots in slots(), seed in seed(), from in 200_u16..9_800, to in 200_u16..9_800,
    ) {
        let (mut current, wanted) = (two(slots, seed, from, &[1, 1], &[1]), two(slots, seed, to, &[1, 1], &[1]));
        let delta = delta(&current, &wanted);
        prop_assert!(delta.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (slot, owner) in delta {
            prop_assert!(current[slot as usize] != owner, "nothing superfluous");
            current[slot as usize] = owner;
        }
        prop_assert!(current == wanted);
    }
}

proptest! {
    #![proptest_config(config(40))]

    /// A canary of any size from one slot to 5 % is balanced, whichever version it is.
    #[test]
    fn a_canary_is_balanced_at_every_weight(seed in seed(), backends in backend_weights()) {
        let members = members(1000, &backends);
        for green in [1, 2, 3, 5, 10, 20, 50, 99, 100, 150, 233, 377, 500] {
            let owners = two(16_384, seed, green, &[1], &backends);
            assert_balanced(&counts(&owners), &members)?;
        }
    }
}

/// Also where two backends score alike, which so many choices make happen, the order of backends plays no part.
#[test]
fn ties_are_settled_by_identity() {
    let forwards = members(0, &[1; 64]);
    let backwards: Vec<Member> = forwards.iter().rev().cloned().collect();
    for low in 0..12 {
        let placed = |members| owners(65_536, Seed([low, 3]), &[share("blue", WHOLE, members)]);
        assert!(placed(&forwards) == placed(&backwards), "seed {low}");
    }
}

/// Another seed is another order: two placements agree on a slot as often as two dice.
#[test]
fn seeds_decide_who_sits_where() {
    let slots = 16_384;
    let placed = |low| two(slots, Seed([low, 7]), 5_000, &[1], &[1]);
    let same = f64::from(slots) - moved(&placed(1), &placed(2)) as f64;
    // Agreement of two random halves: hypergeometric, standard deviation √n / 2 = 64; five of them.
    assert!(
        (same - 8_192.0).abs() < 320.0,
        "{same} of {slots} slots agree"
    );
}

#[test]
fn what_gives_no_placement_says_so() {
    let seed = Seed([1, 2]);
    let one = members(0, &[1]);
    let placed = |shares: &[Share<'_>]| place(64, seed, shares);
    assert_eq!(placed(&[]), Ok(Placement::AllWeightsZero));
    assert_eq!(
        placed(&[share("blue", 0, &one), share("green", 0, &[])]),
        Ok(Placement::AllWeightsZero)
    );
    let none = Placement::NoBackend {
        version: "green".to_owned(),
    };
    assert_eq!(
        placed(&[share("blue", 5_000, &one), share("green", 5_000, &[])]),
        Ok(none)
    );
    let idle = [share("blue", WHOLE, &one), share("green", 0, &[])];
    assert_eq!(
        placed(&idle),
        Ok(Placement::Assigned(vec![0; 64])),
        "one backend has every slot"
    );

    assert_eq!(place(100, seed, &idle), Err(PlaceError::Slots(100)));
    assert_eq!(place(131_072, seed, &idle), Err(PlaceError::Slots(131_072)));
    assert_eq!(
        placed(&[share("blue", 9_999, &one)]),
        Err(PlaceError::Sum(9_999))
    );
    let twice = [share("blue", 5_000, &one), share("blue", 5_000, &one)];
    assert_eq!(
        placed(&twice),
        Err(PlaceError::VersionTwice("blue".to_owned()))
    );
    let same = [one.clone(), one.clone()].concat();
    assert_eq!(
        placed(&[share("blue", WHOLE, &same)]),
        Err(PlaceError::MemberTwice("blue".to_owned()))
    );
    let weightless = members(0, &[0]);
    let error = PlaceError::MemberWeight {
        version: "blue".to_owned(),
        weight: 0,
    };
    assert_eq!(placed(&[share("blue", WHOLE, &weightless)]), Err(error));
    let error = placed(&[share("blue", 9_999, &one), share("green", 1, &one)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "found a weight of 0.01 % for version \"green\", which is less than one of 64 slots; \
         expected 0 or at least 1.57 %"
    );
}

/// `least_weight` gets a slot whatever the others are.
#[test]
fn the_least_weight_gets_a_slot() {
    for bits in 6..=16 {
        let slots = 1 << bits;
        let least = least_weight(slots).0;
        for other in 1..5_000 {
            assert!(
                quotas(slots, &[least, other, WHOLE - least - other])[0] > 0,
                "{slots} slots, {other}"
            );
        }
    }
}
