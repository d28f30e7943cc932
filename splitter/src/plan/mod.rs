//! Placement: (services, effective weights, seed) → owner of every slot. PURE: no I/O, no clock.

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

/// Why there is no placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {}
