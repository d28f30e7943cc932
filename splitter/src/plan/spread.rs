//! Within a version: every slot gets a backend, by weight.
//!
//! Rendezvous hashing with bounded loads *on every prefix*. Each slot takes, of the backends that are not ahead of their
//! share, the one that it prefers; preferences hang on the slot's position and the backend's identity alone, so a
//! backend that comes or goes takes or leaves its own share and disturbs others only where a bound was in force. The
//! bound holds at every prefix of the range, so a canary of a few slots is balanced as well as a whole table.
//!
//! All in integers: hosts of a fleet must agree to the last slot.

use std::ops::Range;

use super::{Member, keyed};
use crate::model::Seed;

/// A member's running account.
struct Account {
    number: u16,
    weight: u64,
    /// Keyed hash of its identity.
    key: u64,
    /// 2^32 / weight: makes a heavier member's scores smaller.
    inverse: u64,
    /// Slots that it has.
    slots: u64,
    /// The shortest prefix in which it may have one more.
    ready: u64,
}

/// Writes owners to `owners[order[position]]` for the positions of `range`, from its end backwards if asked to.
/// `members` is not empty.
pub(super) fn spread(
    seed: Seed,
    members: &[Member],
    order: &[u32],
    range: Range<usize>,
    from_the_end: bool,
    owners: &mut [u16],
) {
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    let mut accounts: Vec<Account> = members
        .iter()
        .map(|member| Account::new(seed, member))
        .collect();
    // Of equal scores the first wins: let it be the same member whatever the order in which they came.
    accounts.sort_unstable_by_key(|account| account.key);
    let (start, end) = (range.start, range.end);
    let mut take = |position: usize, prefix: u64| {
        let chosen = choose(&mut accounts, position as u64, prefix);
        chosen.slots += 1;
        chosen.ready = ready(chosen.slots, chosen.weight, total);
        owners[order[position] as usize] = chosen.number;
    };
    if from_the_end {
        range
            .rev()
            .for_each(|position| take(position, (end - position) as u64));
    } else {
        range.for_each(|position| take(position, (position + 1 - start) as u64));
    }
}

impl Account {
    fn new(seed: Seed, member: &Member) -> Self {
        let (address, port) = member.identity;
        let mut identity = [0; 18];
        identity[..16].copy_from_slice(&address);
        identity[16..].copy_from_slice(&port.to_be_bytes());
        let weight = u64::from(member.weight);
        Self {
            number: member.number,
            weight,
            key: keyed::hash(seed, "backend", &identity),
            inverse: (1 << 32) / weight,
            slots: 0,
            ready: 0,
        }
    }
}

/// The shortest prefix in which a member that has `slots` may have one more: within one slot of its exact share, or
/// within 2 % of it.
fn ready(slots: u64, weight: u64, total: u64) -> u64 {
    let within_a_slot = (slots * total).div_ceil(weight);
    let within_2_percent = ((slots + 1) * 100 * total).div_ceil(102 * weight);
    within_a_slot.min(within_2_percent)
}

/// The member that the position prefers, of those that may have one more slot. There always is one: were all of them
/// one slot ahead, they would have more slots together than the prefix has.
fn choose(accounts: &mut [Account], position: u64, prefix: u64) -> &mut Account {
    let position = keyed::mix(position.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mut best = usize::MAX;
    let mut least = u64::MAX;
    for (index, account) in accounts.iter().enumerate() {
        if account.ready <= prefix {
            let score = score(keyed::mix(account.key ^ position), account.inverse);
            if score < least {
                (least, best) = (score, index);
            }
        }
    }
    &mut accounts[best]
}

/// −log₂(hash / 2⁶⁴) / weight: the least of such scores falls to each member in proportion to its weight.
fn score(hash: u64, inverse: u64) -> u64 {
    const ONE: u64 = 1 << 24;
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    // The bits after the leading one, as a fraction; log₂(1 + f) ≈ f + 0.344 f (1 − f), wrong by at most 0.009.
    let fraction = (hash << zeros << 1) >> 40;
    let log = fraction + ((fraction * (ONE - fraction)) >> 24) * 88 / 256;
    let bits = (u64::from(zeros) + 1) * ONE - log;
    bits * inverse
}
