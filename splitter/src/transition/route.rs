//! Routes: clients that get a version whatever the weights, in a row of slots of their own. PURE.
//!
//! The row of a client's longest matching prefix governs its flows; without one the default row does. Which row
//! governs a client changes twice, and each time between two rows that say the same of every flow:
//!
//! ```text
//!           ┌──────── copy of the row that governed ────────┐
//!           │                                               ▼
//!   no row ─┴─► words and stamps ─► entry ─► grace ─► stamps ─► steps to the version's owners, as of any row
//!                                                                │ leaving: to the owners of the covering row
//!   row free ◄─ grace ◄─ entry away ◄─ both rows at rest with the same owners ◄┘
//! ```
//!
//! * **In**: a [`copy`] of the governing row. HANDOVER is copied as TRACK, which learns what HANDOVER only stamps.
//!   Until the entry is in force and a grace period is over, no word of the governing row is written. Packets that
//!   looked before the entry was there stamp the governing row; [`settle`] makes up for that.
//! * **Out**: when both rows [agree](agree). At rest every flow without exception is with the owner of its slot.
//!
//! Every step follows from what the trie and the maps hold: a row without an entry is nobody's, an entry without its
//! [`settle`] gets it again.

use super::{Cell, Round, SlotWrite};
use crate::model::Prefix;
use splitter_common::abi::{SlotState, SlotWord, Stamp};

/// A route as it is wanted and as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<V> {
    /// Its clients.
    pub clients: Prefix,
    /// Their version; none: the route leaves.
    pub version: Option<V>,
    /// The row that the trie has for them (its first slot), if any.
    pub row: Option<u32>,
}

/// What is to be done next about which rows there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// These routes, by position, get a new row together, a copy of `from`.
    Open {
        /// Positions, ascending.
        routes: Vec<usize>,
        /// First slot of the row that governs their clients until then.
        from: u32,
    },
    /// The entry of a route that leaves goes: the next wider prefix has the same row.
    Drop(usize),
}

/// First slot of the row that governs the clients of a prefix, its own entry left out of account.
pub fn cover<V>(routes: &[Route<V>], clients: &Prefix, default: u32) -> u32 {
    routes
        .iter()
        .filter(|route| route.clients.covers(clients))
        .filter_map(|route| Some((route.clients.length(), route.row?)))
        .max()
        .map_or(default, |(_, row)| row)
}

/// The next task, or none where every route has a row of its own kind: those in one row want the same, and those of
/// them that leave have the same covering row.
pub fn next_task<V: Copy + PartialEq>(routes: &[Route<V>], default: u32) -> Option<Task> {
    let cover = |at: usize| cover(routes, &routes[at].clients, default);
    let alike = |a: usize, b: usize| {
        routes[a].row == routes[b].row && routes[a].version == routes[b].version
    };
    for (at, route) in routes.iter().enumerate() {
        match (route.row, route.version) {
            (None, None) => {}
            (None, Some(_)) => {
                let from = cover(at);
                return Some(Task::Open {
                    routes: (at..routes.len())
                        .filter(|other| alike(at, *other) && cover(*other) == from)
                        .collect(),
                    from,
                });
            }
            (Some(row), None) if cover(at) == row => return Some(Task::Drop(at)),
            (Some(row), version) => {
                let fits = |other: usize| {
                    alike(at, other) && (version.is_some() || cover(other) == cover(at))
                };
                let mut shares = (0..routes.len()).filter(|other| routes[*other].row == Some(row));
                // The first one in a row keeps it.
                if shares.next().is_some_and(|first| !fits(first)) {
                    return Some(Task::Open {
                        routes: (at..routes.len()).filter(|other| fits(*other)).collect(),
                        from: row,
                    });
                }
            }
        }
    }
    None
}

/// The writes that make a row nobody has yet a copy of one with these words. Its stamps are ahead by half of `margin_ns`,
/// for until the entry is in force packets go on to stamp the other row: so they are never earlier than those.
///
/// The entry may be written only while the result is [not stale](Round::is_stale).
pub fn copy(words: &[SlotWord], margin_ns: u64, now_ns: u64) -> Round {
    let ahead = Some(now_ns.saturating_add(margin_ns / 2));
    let writes = (0..)
        .zip(words)
        .map(|(slot, word)| {
            let moving = word.state() != SlotState::Steady;
            let stamp = if moving { ahead } else { Some(0) };
            let mut copied = *word;
            if word.state() == SlotState::Handover {
                copied = SlotWord::new(SlotState::Track, word.base(), word.current());
            }
            SlotWrite {
                slot,
                change: super::Change {
                    unlogged: stamp,
                    bare_syn: stamp,
                    foreign: stamp,
                    word: copied,
                },
            }
        })
        .collect();
    Round {
        computed_ns: now_ns,
        writes,
    }
}

/// The stamps of a row whose entry came into force a grace period ago: as far as its slots know, what could leave no
/// trace in them came just now. `now_ns` is read after that grace period.
pub fn settle(words: &[SlotWord], now_ns: u64) -> Vec<(u32, Cell)> {
    (0..)
        .zip(words)
        .filter(|(_, word)| word.state() != SlotState::Steady)
        .flat_map(|(slot, _)| {
            [Stamp::Unlogged, Stamp::BareSyn, Stamp::Foreign]
                .map(|stamp| (slot, Cell::Stamp(stamp, now_ns)))
        })
        .collect()
}

/// Whether clients may go from one row to the other: both are at rest with the same owners.
pub fn agree(row: &[SlotWord], other: &[SlotWord]) -> bool {
    row.len() == other.len()
        && row
            .iter()
            .zip(other)
            .all(|(word, other)| word == other && word.state() == SlotState::Steady)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(clients: &str, version: Option<u8>, row: Option<u32>) -> Route<u8> {
        Route {
            clients: clients.parse().expect("a prefix"),
            version,
            row,
        }
    }

    fn open(routes: &[usize], from: u32) -> Option<Task> {
        Some(Task::Open {
            routes: routes.to_vec(),
            from,
        })
    }

    #[test]
    fn those_of_one_version_and_one_covering_row_share() {
        let routes = [
            route("10.0.0.0/16", Some(1), None),
            route("10.1.0.0/16", Some(2), None),
            route("10.2.0.0/16", Some(1), None),
            route("10.3.3.0/24", Some(1), None),
            route("10.3.0.0/16", Some(2), Some(64)),
        ];
        assert_eq!(next_task(&routes, 0), open(&[0, 2], 0));
        assert_eq!(next_task(&routes[3..], 0), open(&[0], 64));
    }

    #[test]
    fn who_wants_something_else_leaves_the_shared_row() {
        let mut routes = [
            route("10.0.0.0/16", Some(1), Some(64)),
            route("10.1.0.0/16", Some(1), Some(64)),
            route("10.2.0.0/16", Some(1), Some(64)),
        ];
        assert_eq!(next_task(&routes, 0), None);
        routes[1].version = None;
        assert_eq!(next_task(&routes, 0), open(&[1], 64));
        routes[2].version = None;
        assert_eq!(next_task(&routes, 0), open(&[1, 2], 64));
        routes[0].version = None;
        assert_eq!(next_task(&routes, 0), None);
    }

    #[test]
    fn those_that_leave_part_where_their_covering_rows_differ() {
        let routes = [
            route("10.0.0.0/8", Some(2), Some(128)),
            route("10.1.0.0/16", None, Some(64)),
            route("11.1.0.0/16", None, Some(64)),
        ];
        assert_eq!(next_task(&routes, 0), open(&[2], 64));
    }

    #[test]
    fn inside_of_its_own_row_an_entry_just_goes() {
        let routes = [
            route("10.0.0.0/8", Some(1), Some(64)),
            route("10.1.0.0/16", None, Some(64)),
        ];
        assert_eq!(next_task(&routes, 0), Some(Task::Drop(1)));
    }

    #[test]
    fn the_longest_wider_prefix_covers() {
        let routes = [
            route("10.0.0.0/8", Some(1), Some(64)),
            route("10.1.0.0/16", Some(2), Some(128)),
            route("10.1.1.0/24", Some(1), None),
            route("10.1.1.0/26", Some(1), Some(192)),
        ];
        let of = |text: &str| cover(&routes, &text.parse().expect("a prefix"), 0);
        assert_eq!(of("10.1.1.1/32"), 192);
        assert_eq!(of("10.1.1.0/26"), 128);
        assert_eq!(of("10.1.0.0/16"), 64);
        assert_eq!(of("11.0.0.0/8"), 0);
    }

    #[test]
    fn only_rows_at_rest_agree() {
        let steady = SlotWord::steady(1);
        let residue = SlotWord::new(SlotState::Residue, 1, 1);
        assert!(agree(&[steady, steady], &[steady, steady]));
        assert!(!agree(&[steady], &[SlotWord::steady(2)]));
        assert!(!agree(&[residue], &[residue]));
        assert!(!agree(&[residue], &[steady]));
        assert!(!agree(&[], &[steady]));
    }
}
