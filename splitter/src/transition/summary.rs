//! How far a transition has come, for those who wait for it.

use super::Timers;
use splitter_common::abi::{SlotState, SlotWord, Stamps};
use std::time::Duration;

/// The slots of a service that are not at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Slots in TRACK.
    pub track: u32,
    /// Slots in HANDOVER.
    pub handover: u32,
    /// Slots in RESIDUE.
    pub residue: u32,
    /// When all are at rest again, if from now on no packet holds one; none where all are.
    pub settles_in: Option<Duration>,
    /// What it waits for, in words; none where all are at rest.
    pub held_by: Option<String>,
}

/// Looks at the slots of a service; `period_ns` is the time between two rounds.
pub fn summarise(
    words: &[SlotWord],
    stamps: &[Stamps],
    timers: &Timers,
    period_ns: u64,
    now_ns: u64,
) -> Summary {
    let mut summary = Summary::default();
    let mut wait_ns = 0;
    let mut last_unlogged = 0;
    let mut last_foreign = 0;
    for (word, stamps) in words.iter().zip(stamps) {
        let residue = left(stamps.foreign, timers.record_ns, timers, now_ns);
        let settled = timers.record_ns + timers.margin_ns + period_ns;
        let slot_ns = match word.state() {
            SlotState::Steady => continue,
            SlotState::Residue => {
                summary.residue += 1;
                last_foreign = last_foreign.max(stamps.foreign);
                residue
            }
            SlotState::Track if word.base() == word.current() => {
                summary.track += 1;
                last_foreign = last_foreign.max(stamps.foreign);
                residue + period_ns
            }
            SlotState::Track => {
                summary.track += 1;
                last_unlogged = last_unlogged.max(stamps.unlogged);
                left(stamps.unlogged, timers.idle_ns, timers, now_ns) + 2 * period_ns + settled
            }
            SlotState::Handover => {
                summary.handover += 1;
                last_unlogged = last_unlogged.max(stamps.unlogged);
                period_ns + settled
            }
        };
        wait_ns = wait_ns.max(slot_ns);
    }
    let (moving, residue) = (summary.track + summary.handover, summary.residue);
    if moving + residue == 0 {
        return summary;
    }
    summary.settles_in = Some(Duration::from_nanos(wait_ns));
    let ago = |stamp_ns: u64| now_ns.saturating_sub(stamp_ns) / 1_000_000_000;
    let mut reasons = Vec::new();
    if moving > 0 {
        let reason = if last_unlogged == 0 {
            format!("{moving} slots were rolled back and go to rest")
        } else {
            format!(
                "{moving} slots wait until flows without a record were silent for {} s (last packet, or begin of the \
                 transition, {} s ago)",
                timers.idle_ns / 1_000_000_000,
                ago(last_unlogged)
            )
        };
        reasons.push(reason);
    }
    if residue > 0 {
        reasons.push(format!(
            "{residue} slots wait until flow records of other backends ended or were silent for {} s (last packet, \
             or hand-over, {} s ago)",
            timers.record_ns / 1_000_000_000,
            ago(last_foreign)
        ));
    }
    summary.held_by = Some(reasons.join("; "));
    summary
}

/// How long until a stamp is old.
fn left(stamp_ns: u64, span_ns: u64, timers: &Timers, now_ns: u64) -> u64 {
    (stamp_ns + span_ns + timers.margin_ns).saturating_sub(now_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn at_rest_there_is_nothing_to_tell() {
        let found = summarise(
            &[SlotWord::steady(3)],
            &[Stamps::default()],
            &Timers::of_idle(300 * S),
            S,
            1_000 * S,
        );
        assert_eq!(found, Summary::default());
    }

    #[test]
    fn the_slowest_slot_decides() {
        let stamps = |unlogged, foreign| Stamps {
            unlogged,
            foreign,
            ..Stamps::default()
        };
        let found = summarise(
            &[
                SlotWord::steady(0),
                SlotWord::new(SlotState::Track, 0, 1),
                SlotWord::new(SlotState::Residue, 1, 1),
                SlotWord::new(SlotState::Handover, 0, 1),
            ],
            &[
                stamps(0, 0),
                stamps(990 * S, 0),
                stamps(0, 980 * S),
                stamps(600 * S, 0),
            ],
            &Timers::of_idle(300 * S),
            S,
            1_000 * S,
        );
        assert_eq!((found.track, found.handover, found.residue), (1, 1, 1));
        // 290 s of silence and 2 s margin, two rounds, then 300 s, 2 s and a round.
        assert_eq!(found.settles_in, Some(Duration::from_secs(292 + 2 + 303)));
        let why = found.held_by.unwrap_or_default();
        assert!(
            why.contains("2 slots wait until flows without a record"),
            "{why}"
        );
        assert!(why.contains("1 slots wait until flow records"), "{why}");
    }
}
