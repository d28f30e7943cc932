//! `splitter cutover SERVICE VERSION`.

use super::Global;
use super::change;
use super::failure::Failure;
use super::output::Output;
use crate::api::types::SetWeights;

/// What `cutover` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the service.
    service: String,
    /// The version that gets all new flows.
    version: String,
    #[command(flatten)]
    how: change::How,
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let set = SetWeights {
        weights: [(it.version.clone(), 100.0)].into(),
        now: it.how.now,
        dry_run: it.how.dry_run,
    };
    change::run(&it.service, &set, global, out).await
}
