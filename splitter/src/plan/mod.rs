//! Placement: (services, effective weights, seed) → owner of every slot. PURE: no I/O, no clock.

mod cut;
mod keyed;
mod spread;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::model::{BasisPoints, Seed};

pub use cut::quotas;

/// How many slots a service may have; a power of two.
pub const SLOTS: RangeInclusive<u32> = 64..=65_536;

/// A version to place.
#[derive(Clone, Debug, PartialEq)]
pub struct Share<'a> {
    /// Its name: with the seed it decides the order in which versions take slots.
    pub version: &'a str,
    /// Its weight, basis points.
    pub basis_points: u16,
    /// Its backends that may take new flows.
    pub members: Vec<Member>,
}

/// A backend to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Identity: address (IPv4-mapped), then port; the same on every host.
    pub identity: ([u8; 16], u16),
    /// Its share within the version.
    pub weight: u32,
    /// Its number in slot words on this host; plays no part in the choice.
    pub number: u16,
}

/// What a placement came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The owner of every slot: a [`Member::number`].
    Assigned(Vec<u16>),
    /// No version has a weight above 0 (or there is none): new flows go nowhere.
    AllWeightsZero,
    /// A version with a weight has no backend that may take flows.
    NoBackend {
        /// Its name.
        version: String,
    },
}

/// Why there is no placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Not a power of two in bounds.
    #[error("found {0} slots, expected a power of two from 64 to 65,536")]
    Slots(u32),
    /// The weights are not all 0 and do not sum to 10,000 basis points.
    #[error("found weights that sum to {0} basis points, expected 10,000")]
    Sum(u32),
    /// A positive weight that rounds to no slot.
    #[error("found a weight of {} % for version \"{version}\", which is less than one of {slots} slots; expected 0 or at least {least} %",
        BasisPoints(*.basis_points))]
    NoSlot {
        /// The version.
        version: String,
        /// Its weight.
        basis_points: u16,
        /// Slots of the service.
        slots: u32,
        /// The least weight that surely gets a slot.
        least: BasisPoints,
    },
    /// Two versions of one name.
    #[error("found version \"{0}\" twice, expected each version once")]
    VersionTwice(String),
    /// Two members of a version with one identity.
    #[error("found a backend of version \"{0}\" twice, expected each backend once")]
    MemberTwice(String),
    /// A member with a weight that is 0 or above 65,535.
    #[error("found a backend of weight {weight} in version \"{version}\", expected 1 to 65,535")]
    MemberWeight {
        /// The version.
        version: String,
        /// The weight.
        weight: u32,
    },
}

/// Places versions and their backends on `slots` slots. A function of its arguments alone: neither the order of shares
/// and members nor what was in force before plays a part. Zero weights included, `shares` are *all* versions of the
/// service, since their names decide who sits where.
pub fn place(slots: u32, seed: Seed, shares: &[Share<'_>]) -> Result<Placement, PlaceError> {
    if !slots.is_power_of_two() || !SLOTS.contains(&slots) {
        return Err(PlaceError::Slots(slots));
    }
    let mut ranked: Vec<&Share<'_>> = shares.iter().collect();
    ranked.sort_by_cached_key(|share| cut::rank(seed, share.version));
    if let Some(pair) = ranked
        .windows(2)
        .find(|pair| pair[0].version == pair[1].version)
    {
        return Err(PlaceError::VersionTwice(pair[0].version.to_owned()));
    }
    ranked.iter().try_for_each(|share| check_members(share))?;
    let sum: u32 = shares
        .iter()
        .map(|share| u32::from(share.basis_points))
        .sum();
    if sum == 0 {
        return Ok(Placement::AllWeightsZero);
    }
    if sum != u32::from(BasisPoints::WHOLE.0) {
        return Err(PlaceError::Sum(sum));
    }

    let cuts = cut::cut(slots, &ranked);
    let mut empty = None;
    for (share, cut) in ranked.iter().zip(&cuts) {
        if share.basis_points > 0 && cut.range.is_empty() {
            return Err(PlaceError::NoSlot {
                version: share.version.to_owned(),
                basis_points: share.basis_points,
                slots,
                least: least_weight(slots),
            });
        }
        if share.basis_points > 0 && share.members.is_empty() {
            empty = empty.or(Some(share.version));
        }
    }
    if let Some(version) = empty {
        let version = version.to_owned();
        return Ok(Placement::NoBackend { version });
    }

    let order = keyed::shuffled(seed, slots);
    let mut owners = vec![0; slots as usize];
    for (share, cut) in ranked.iter().zip(cuts) {
        if !cut.range.is_empty() {
            spread::spread(
                seed,
                &share.members,
                &order,
                cut.range,
                cut.from_the_end,
                &mut owners,
            );
        }
    }
    Ok(Placement::Assigned(owners))
}

/// The least weight that surely gets one of `slots` slots, whatever the others are.
pub fn least_weight(slots: u32) -> BasisPoints {
    BasisPoints(u32::from(BasisPoints::WHOLE.0).div_ceil(slots) as u16)
}

fn check_members(share: &Share<'_>) -> Result<(), PlaceError> {
    let weights = 1..=65_535;
    if let Some(member) = share
        .members
        .iter()
        .find(|member| !weights.contains(&member.weight))
    {
        return Err(PlaceError::MemberWeight {
            version: share.version.to_owned(),
            weight: member.weight,
        });
    }
    let mut seen = HashSet::new();
    if share
        .members
        .iter()
        .all(|member| seen.insert(member.identity))
    {
        Ok(())
    } else {
        Err(PlaceError::MemberTwice(share.version.to_owned()))
    }
}

/// What to write to get from `current` to `wanted`: slots and their new owners, in ascending order of slots.
///
/// # Panics
///
/// If the two differ in length: a live table never changes its size.
pub fn delta(current: &[u16], wanted: &[u16]) -> Vec<(u32, u16)> {
    assert_eq!(current.len(), wanted.len(), "slot tables of one service");
    current
        .iter()
        .zip(wanted)
        .zip(0..)
        .filter(|((now, then), _)| now != then)
        .map(|((_, then), slot)| (slot, *then))
        .collect()
}
