//! What the planner's tests share.

use splitter::model::Seed;
use splitter::plan::{Member, Placement, Share, delta, place};

pub(crate) const WHOLE: u16 = 10_000;

/// Backends `first`, `first` + 1, … with these weights; a backend's number is its identity's.
pub(crate) fn members(first: u16, weights: &[u32]) -> Vec<Member> {
    let member = |(number, weight): (u16, &u32)| {
        let mut address = [0; 16];
        address[14..].copy_from_slice(&number.to_be_bytes());
        Member {
            identity: (address, 80),
            weight: *weight,
            number,
        }
    };
    (first..).zip(weights).map(member).collect()
}

pub(crate) fn share<'a>(version: &'a str, basis_points: u16, members: &[Member]) -> Share<'a> {
    Share {
        version,
        basis_points,
        members: members.to_vec(),
    }
}

pub(crate) fn owners(slots: u32, seed: Seed, shares: &[Share<'_>]) -> Vec<u16> {
    match place(slots, seed, shares) {
        Ok(Placement::Assigned(owners)) => owners,
        other => panic!("{other:?}"),
    }
}

/// Blue has backends from 0, green from 1000.
pub(crate) fn two(
    slots: u32,
    seed: Seed,
    green: u16,
    blue_weights: &[u32],
    green_weights: &[u32],
) -> Vec<u16> {
    let shares = [
        share("blue", WHOLE - green, &members(0, blue_weights)),
        share("green", green, &members(1000, green_weights)),
    ];
    owners(slots, seed, &shares)
}

pub(crate) fn moved(before: &[u16], after: &[u16]) -> usize {
    delta(before, after).len()
}

pub(crate) const NAMES: [&str; 8] = ["blue", "green", "v1", "v2", "v3", "v4", "v5", "v6"];

/// Versions with these weights; version `i` has backends from 1000 `i`.
pub(crate) fn versions(weights: &[u16], backends: &[Vec<u32>]) -> Vec<Share<'static>> {
    let one = |(index, weight): (usize, &u16)| {
        let backends = &backends[index % backends.len()];
        share(
            NAMES[index],
            *weight,
            &members(1000 * index as u16, backends),
        )
    };
    weights.iter().enumerate().map(one).collect()
}
