//! Changes of weights: asking for one, and showing what it did.

use std::collections::BTreeSet;

use super::Global;
use super::failure::Failure;
use super::format::{count, percent, seconds};
use super::output::{Output, Paint};
use super::table::Table;
use crate::api::types::{ChangeView, SetWeights};

/// How to go about a change.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// New flows follow at once: may cost handshakes under way, never established flows.
    #[arg(long)]
    pub(super) now: bool,
    /// Only say what would change.
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) async fn run(
    service: &str,
    set: &SetWeights,
    global: &Global,
    out: &mut Output,
) -> Result<(), Failure> {
    let change = global.client()?.set_weights(service, set).await?;
    out.view(&change, table)
}

fn table(change: &ChangeView, paint: Paint) -> String {
    let mut table = Table::new(&["VERSION", ">BEFORE", ">AFTER"]);
    let versions: BTreeSet<&String> = change.before.keys().chain(change.after.keys()).collect();
    for version in versions {
        let share = |of: &std::collections::BTreeMap<String, f64>| {
            of.get(version).map_or("-".into(), |share| percent(*share))
        };
        let (before, after) = (share(&change.before), share(&change.after));
        let after = if before == after {
            after
        } else {
            paint.bold(after)
        };
        table.row([version.clone(), before, after]);
    }
    let holds = match (change.slots_moved, change.holds_in_seconds) {
        (0, _) => "nothing changes".into(),
        (_, wait) if wait <= 0.0 => "at once".into(),
        (_, wait) => format!("in {}", seconds(wait)),
    };
    let moved = format!("{} of {}", count(change.slots_moved), count(change.slots));
    let established = count(change.established_flows_moved);
    let mut text = table.render();
    text += &format!("\nslots moved: {moved}\n");
    text += &format!("established flows moved: {established}\n");
    text += &format!("new flows follow: {holds}\n");
    if change.dry_run {
        text += &paint.dim("dry run: nothing was changed");
        text.push('\n');
    }
    text
}
