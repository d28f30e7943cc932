//! Placement: (services, effective weights, seed) → owner of every slot. PURE: no I/O, no clock.

use crate::model::Seed;

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
        crate::model::BasisPoints(*.basis_points))]
    NoSlot {
        /// The version.
        version: String,
        /// Its weight.
        basis_points: u16,
        /// Slots of the service.
        slots: u32,
        /// The least weight that surely gets a slot.
        least: crate::model::BasisPoints,
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
/// and members nor what was in force before plays a part.
pub fn place(slots: u32, seed: Seed, shares: &[Share<'_>]) -> Result<Placement, PlaceError> {
    let _ = (slots, seed);
    if shares.iter().all(|share| share.basis_points == 0) {
        return Ok(Placement::AllWeightsZero);
    }
    Err(PlaceError::Slots(slots))
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
