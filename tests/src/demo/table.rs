//! The live table.

use std::fmt::Write;

use splitter::api::types::ServiceView;

use crate::clients::report::HeldTotals;

/// What the table shows.
pub(super) struct Live<'a> {
    /// Seconds since the beginning.
    pub(super) seconds: f64,
    /// What the daemon says; none while it is dead.
    pub(super) service: Option<&'a ServiceView>,
    /// Held connections.
    pub(super) held: &'a HeldTotals,
    /// Answered short requests: blue, green.
    pub(super) answered: [u64; 2],
    /// Failed short requests.
    pub(super) failed: u64,
}

impl Live<'_> {
    /// Several lines, for a terminal.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "\n {:>5.1} s   {:>8} {:>10} {:>11} {:>13} {:>13}\n",
            self.seconds, "set", "measured", "new flows", "established", "flow records"
        );
        for (name, answered) in ["blue", "green"].into_iter().zip(self.answered) {
            let (set, measured, records) = self.version(name);
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                text,
                "   {name:<7} {set:>8} {measured:>10} {answered:>11} {:>13} {records:>13}",
                self.held.open_to(name)
            );
        }
        let _ = writeln!(
            text,
            "   broken: {} established, {} new   {}",
            self.held.moved + self.held.broken,
            self.failed,
            self.transition()
        );
        text
    }

    /// One line, for a log.
    pub(super) fn line(&self) -> String {
        let mut text = format!("  {:>5.1} s", self.seconds);
        for (name, answered) in ["blue", "green"].into_iter().zip(self.answered) {
            let (set, measured, _) = self.version(name);
            let _ = write!(
                text,
                " | {name} set {set} measured {measured} new {answered} established {}",
                self.held.open_to(name)
            );
        }
        let _ = writeln!(
            text,
            " | broken {} | {}",
            self.held.moved + self.held.broken + self.failed,
            self.transition()
        );
        text
    }

    fn version(&self, name: &str) -> (String, String, String) {
        let version = self
            .service
            .and_then(|s| s.versions.iter().find(|v| v.name == name));
        let none = || "-".to_owned();
        version.map_or((none(), none(), none()), |v| {
            let measured = v.measured_percent.map_or_else(none, |m| format!("{m:.1}%"));
            (
                format!("{:.1}%", v.set_percent),
                measured,
                v.flow_records.to_string(),
            )
        })
    }

    fn transition(&self) -> String {
        let Some(service) = self.service else {
            return "no daemon runs: the kernel goes on".to_owned();
        };
        let Some(transition) = &service.transition else {
            return "at rest".to_owned();
        };
        let slots = transition.track + transition.handover + transition.residue;
        match transition.settles_in_seconds {
            Some(seconds) => format!(
                "{slots} of {} slots in transition, {seconds:.0} s to go",
                service.slots
            ),
            None => format!("{slots} of {} slots in transition", service.slots),
        }
    }
}
