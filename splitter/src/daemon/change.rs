//! A change of weights: judged, kept, put into force.

use std::collections::BTreeMap;

use super::clock::Now;
use super::core::{Core, changed, names};
use super::live::{Live, PlaceFailure, SlotCounts};
use crate::api::RequestError;
use crate::api::types::{ChangeView, SetWeights};
use crate::dataplane::Dataplane;
use crate::model::{BasisPoints, Weights};
use crate::plan::delta;

impl<D: Dataplane> Core<D> {
    /// Changes the weights of a service, or says what that would do.
    pub(super) fn change(
        &mut self,
        name: &str,
        wanted: &SetWeights,
        now: Now,
    ) -> Result<ChangeView, RequestError> {
        let at = self.find(name)?;
        let live = &self.services[at];
        let weights = parse(live, wanted)?;
        let owners = live.place(&weights, self.seed).map_err(refused)?;
        let words = live.words(&self.dataplane).map_err(failed)?;
        let current: Vec<u16> = words.iter().map(|word| word.current()).collect();
        let view = ChangeView {
            service: live.service.name.clone(),
            before: self.set_percents(at, &SlotCounts::of(&words)),
            after: names(live, weights.shares().iter().map(|share| share.percent())),
            slots_moved: delta(&current, &owners).len() as u32,
            slots: live.slots(),
            established_flows_moved: 0,
            holds_in_seconds: live.holds_in(wanted.now).as_secs_f64(),
            dry_run: wanted.dry_run,
        };
        let unchanged = live.weights.as_ref() == Some(&weights) && view.slots_moved == 0;
        // The same weights with `--now` lift the freeze of the transition to them.
        let nothing_to_do = unchanged && (!wanted.now || live.is_settled(&words));
        if wanted.dry_run || nothing_to_do {
            return Ok(view);
        }

        // Durable first: once the answer is given, no crash may undo it; and a crash before the maps are written is
        // made good by the next start.
        let mut state = self.state.clone();
        let baseline = self.baseline(at).map_err(failed)?;
        let live = &mut self.services[at];
        let kept = state.services.entry(live.state_key()).or_default();
        kept.name.clone_from(&live.service.name);
        changed(
            kept,
            names(live, weights.shares().iter().map(|share| share.0)),
            now,
        );
        kept.baseline = baseline;
        kept.began = kept.began.or(Some(now.wall));
        self.store.save(&state).map_err(failed)?;
        self.state = state;

        live.weights = Some(weights);
        live.wish(&owners, wanted.now);
        live.wish_of_routes(self.seed, &[]);
        // Saving takes its time, and only now new flows begin to follow.
        let began_ns = (self.clock)().ns;
        let hold = live.holds_in(wanted.now).as_nanos() as u64;
        live.rebase_at = Some(began_ns + hold);
        // What cannot be written now is written by the next ticks: it is in force once it is kept.
        if let Err(error) = self.advance() {
            tracing::error!(%error, "the change is kept but not yet in the maps");
        }
        tracing::info!(
            service = name,
            before = ?view.before,
            after = ?view.after,
            slots_moved = view.slots_moved,
            "weights changed"
        );
        Ok(view)
    }

    /// Index of a service by its name.
    pub(super) fn find(&self, name: &str) -> Result<usize, RequestError> {
        let position = self.services.iter().position(|l| l.service.name == name);
        position.ok_or_else(|| {
            let known: Vec<&str> = self
                .services
                .iter()
                .map(|l| l.service.name.as_str())
                .collect();
            RequestError::NotFound(format!(
                "found service \"{name}\", expected one of {}",
                known.join(", ")
            ))
        })
    }

    /// Set shares in percent by version; where the weights are lost, those that the slots amount to.
    pub(super) fn set_percents(&self, at: usize, counts: &SlotCounts) -> BTreeMap<String, f64> {
        let live = &self.services[at];
        match &live.weights {
            Some(weights) => names(live, weights.shares().iter().map(|share| share.percent())),
            None => names(
                live,
                live.service.versions.iter().map(|version| {
                    let numbers = super::views::numbers_of(live, version);
                    let slots: u32 = numbers.iter().map(|n| counts.current(*n)).sum();
                    (f64::from(slots) * 10_000.0 / f64::from(live.slots())).round() / 100.0
                }),
            ),
        }
    }
}

fn parse(live: &Live, wanted: &SetWeights) -> Result<Weights, RequestError> {
    let invalid = |e: &dyn std::fmt::Display| {
        RequestError::Invalid(format!("service \"{}\": weights: {e}", live.service.name))
    };
    let versions: Vec<&str> = live
        .service
        .versions
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    let mut named = Vec::new();
    for (version, percent) in &wanted.weights {
        let points = BasisPoints::from_percent(*percent).map_err(|e| invalid(&e))?;
        named.push((version.as_str(), points));
    }
    Weights::from_named(&versions, named).map_err(|e| invalid(&e))
}

fn refused(failure: PlaceFailure) -> RequestError {
    match failure {
        PlaceFailure::Place(error) => RequestError::Invalid(error.to_string()),
        other => RequestError::Refused(other.to_string()),
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> RequestError {
    RequestError::Failed(error.to_string())
}
