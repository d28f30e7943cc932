//! What the demo concludes: from what clients saw, not from what the daemon says of itself.

use std::fmt::Write;

use crate::clients::report::{Fault, HeldTotals};

/// A measured share may be off by so many standard deviations.
pub(super) const BOUND: f64 = 4.0;

/// Fewer requests than this say nothing about a share.
pub(super) const ENOUGH: u64 = 200;

/// The share of one act.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Percent of new flows that green was to get.
    pub set: f64,
    /// Requests that green answered.
    pub green: u64,
    /// Requests that were answered.
    pub total: u64,
    /// What splitter measured itself meanwhile: handshakes with green, all.
    pub told: (u64, u64),
}

impl Share {
    /// Percent that green got.
    pub(super) fn measured(&self) -> f64 {
        percent(self.green, self.total)
    }

    /// How far off it is, in standard deviations.
    pub(super) fn deviation(&self) -> f64 {
        deviation(self.set, self.green, self.total)
    }

    /// How far off splitter's own measure is. Of all and nothing it is not asked: a handshake that completes after an
    /// instant may have begun long before it, with the former version.
    pub(super) fn told_deviation(&self) -> f64 {
        if self.set == 0.0 || self.set == 100.0 {
            0.0
        } else {
            deviation(self.set, self.told.0, self.told.1)
        }
    }

    /// Whether both measures have seen so many.
    pub(super) fn has(&self, enough: u64) -> bool {
        self.total >= enough && self.told.1 >= enough
    }

    /// The larger of the two deviations.
    pub(super) fn worst(&self) -> f64 {
        self.deviation().max(self.told_deviation())
    }

    /// Whether there are enough of them and within the bound.
    pub(super) fn holds(&self) -> bool {
        self.has(ENOUGH) && self.worst() <= BOUND
    }

    /// Whether to measure again: many shares are judged in a demo, and many demos are run, so chance alone breaks the
    /// bound some day. It has no part in all and nothing.
    pub(super) fn is_doubtful(&self) -> bool {
        self.has(ENOUGH) && self.worst() > BOUND && self.set > 0.0 && self.set < 100.0
    }
}

fn percent(of: u64, total: u64) -> f64 {
    100.0 * of as f64 / total.max(1) as f64
}

/// In standard deviations of a binomial share; all and nothing have none, so there any difference is too much.
fn deviation(set: f64, of: u64, total: u64) -> f64 {
    let p = set / 100.0;
    let n = total as f64;
    let off = (of as f64 - p * n).abs();
    if off == 0.0 {
        0.0
    } else {
        off / (n * p * (1.0 - p)).sqrt()
    }
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    /// Shares, act by act.
    pub shares: Vec<Share>,
    /// Connections held, all acts together, when the last act ended.
    pub held: HeldTotals,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// Short requests that were answered.
    pub answered: u64,
    /// What short requests failed of.
    pub failed: Vec<String>,
    /// Flow records left when all connections were closed and the transition was over; none if it did not end in time.
    pub records_at_rest: Option<u64>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub(super) fn kept(&self) -> bool {
        self.held.moved == 0
            && self.held.broken == 0
            && self.failed.is_empty()
            && self.held.messages > 0
            && self.shares.iter().all(Share::holds)
            && self.records_at_rest == Some(0)
    }

    /// What to print at the end.
    pub(super) fn summary(&self) -> String {
        let mut text = String::from(
            "\nSummary\n\n  green set  green got  requests   off by  splitter says  handshakes\n",
        );
        for share in &self.shares {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                text,
                "{:>10.2}% {:>9.2}% {:>9} {:>5.1} sd {:>13.2}% {:>11}   {}",
                share.set,
                share.measured(),
                share.total,
                share.deviation(),
                percent(share.told.0, share.told.1),
                share.told.1,
                if share.holds() {
                    "ok"
                } else {
                    "OFF: more than 4 standard deviations, or too few requests"
                }
            );
        }
        let held: u64 = self.held.open.values().sum::<u64>() + self.held.moved + self.held.broken;
        let _ = writeln!(
            text,
            "\n  established connections   {held} held, {} messages: {} moved, {} broken\n  short requests            \
             {} answered, {} failed\n  flow records at rest      {}",
            self.held.messages,
            self.held.moved,
            self.held.broken,
            self.answered,
            self.failed.len(),
            self.records_at_rest
                .map_or("the transition did not end in time".to_owned(), |n| n
                    .to_string()),
        );
        for fault in &self.faults {
            let first = fault.first.as_deref().unwrap_or("nobody");
            let _ = writeln!(
                text,
                "  connection {} (answered first by {first}, {} messages): {}",
                fault.connection, fault.messages, fault.what
            );
        }
        for failure in self.failed.iter().take(5) {
            let _ = writeln!(text, "  request: {failure}");
        }
        text.push_str(if self.kept() {
            "\nNot one established flow broke, and new flows followed the weights.\n"
        } else {
            "\nA PROMISE WAS BROKEN.\n"
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(set: f64, green: u64, total: u64) -> Share {
        Share {
            set,
            green,
            total,
            told: (100 * set as u64, 10_000),
        }
    }

    #[test]
    fn a_share_holds_within_four_standard_deviations() {
        // 1,000 requests at 10 %: one standard deviation is 9.49 requests.
        assert!(share(10.0, 100, 1000).holds());
        assert!(share(10.0, 137, 1000).holds());
        assert!(!share(10.0, 139, 1000).holds());
        assert!(!share(10.0, 61, 1000).holds());
    }

    #[test]
    fn all_and_nothing_bear_no_exception() {
        assert!(share(0.0, 0, 1000).holds());
        assert!(!share(0.0, 1, 1000).holds());
        assert!(share(100.0, 1000, 1000).holds());
        assert!(!share(100.0, 999, 1000).holds());
    }

    #[test]
    fn few_requests_prove_nothing() {
        assert!(share(0.0, 0, 200).holds());
        assert!(!share(0.0, 0, 199).holds());
        assert!(!share(0.0, 0, 199).is_doubtful());
    }

    #[test]
    fn only_what_chance_may_have_done_is_measured_again() {
        assert!(share(10.0, 139, 1000).is_doubtful());
        assert!(!share(10.0, 137, 1000).is_doubtful());
        assert!(!share(0.0, 1, 1000).is_doubtful());
        assert!(!share(100.0, 999, 1000).is_doubtful());
        let told = Share {
            told: (570, 1000),
            ..share(50.0, 500, 1000)
        };
        assert!(told.is_doubtful());
    }

    #[test]
    fn what_splitter_measures_is_judged_too() {
        let told = |of, total| Share {
            told: (of, total),
            ..share(50.0, 500, 1000)
        };
        assert!(told(500, 1000).holds());
        assert!(!told(570, 1000).holds());
        assert!(!told(99, 198).holds());
    }

    #[test]
    fn each_promise_can_be_broken() {
        let held = HeldTotals {
            messages: 9,
            ..HeldTotals::default()
        };
        let kept = Verdict {
            held,
            records_at_rest: Some(0),
            shares: vec![share(0.0, 0, 200)],
            ..Verdict::default()
        };
        assert!(kept.kept());
        let breaches: [fn(&mut Verdict); 6] = [
            |v| v.held.moved = 1,
            |v| v.held.broken = 1,
            |v| v.held.messages = 0,
            |v| v.failed.push("reset".into()),
            |v| v.shares[0].green = 1,
            |v| v.records_at_rest = None,
        ];
        for breach in breaches {
            let mut broken = kept.clone();
            breach(&mut broken);
            assert!(!broken.kept() && broken.summary().contains("BROKEN"));
        }
    }
}
