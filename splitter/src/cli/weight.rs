//! `splitter weight SERVICE VERSION=PERCENT…`.

use std::collections::{BTreeMap, BTreeSet};

use super::Global;
use super::change;
use super::failure::Failure;
use super::output::Output;
use crate::api::types::SetWeights;
use crate::model::{BasisPoints, Weights};

/// What `weight` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the service.
    service: String,
    /// Shares of new flows, percent with at most two decimals; they sum to 100, versions left out get 0.
    #[arg(required = true, value_name = "VERSION=PERCENT")]
    weights: Vec<String>,
    #[command(flatten)]
    how: change::How,
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let set = SetWeights {
        weights: parse(&it.weights).map_err(Failure::Usage)?,
        now: it.how.now,
        dry_run: it.how.dry_run,
    };
    change::run(&it.service, &set, global, out).await
}

/// The weights as the API wants them; a sentence about the first fault found.
fn parse(words: &[String]) -> Result<BTreeMap<String, f64>, String> {
    let mut named = Vec::new();
    for word in words {
        let (version, percent) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}`: expected VERSION=PERCENT, such as blue=90"))?;
        if version.is_empty() {
            return Err(format!("`{word}`: expected a version before `=`"));
        }
        let share = BasisPoints::parse(percent).map_err(|e| format!("`{word}`: {e}"))?;
        named.push((version, share));
    }
    // Which versions the service has, the daemon knows; that these are twice or too much, nobody needs to be asked.
    let versions: BTreeSet<&str> = named.iter().map(|(version, _)| *version).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let weights = Weights::from_named(&versions, named).map_err(|e| e.to_string())?;
    let shares = weights.shares().iter().map(|share| share.percent());
    Ok(versions
        .into_iter()
        .map(str::to_owned)
        .zip(shares)
        .collect())
}
