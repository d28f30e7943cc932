//! `splitter flows SERVICE`.

use super::Global;
use super::failure::Failure;
use super::format::{backend, count, plural, seconds};
use super::output::{Output, Paint};
use super::table::Table;
use crate::api::types::FlowList;

/// What `flows` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the service.
    service: String,
    /// List at most so many records.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    limit: u32,
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let limit = it.limit as usize;
    let list = global.client()?.flows(&it.service, limit).await?;
    out.view(&list, table)
}

fn table(list: &FlowList, paint: Paint) -> String {
    let mut text = format!(
        "{}  {}: {} confirmed, {} learned once, {} pending\n",
        paint.bold(&list.service),
        plural(list.total, "live flow record"),
        count(list.confirmed),
        count(list.learned),
        count(list.pending),
    );
    if list.records.is_empty() {
        return text;
    }
    let mut table = Table::new(&[">SLOT", "STATE", "BACKEND", ">IDLE"]);
    for record in &list.records {
        let closing = if record.closing { ", closing" } else { "" };
        table.row([
            record.slot.map_or("-".into(), count),
            format!("{}{closing}", record.state),
            backend(&record.backend),
            seconds(record.idle_seconds),
        ]);
    }
    text.push('\n');
    text += &table.render();
    let listed = list.records.len() as u64;
    if listed < list.total {
        let more = format!("{} more; see --limit", count(list.total - listed));
        text += &paint.dim(more);
        text.push('\n');
    }
    text
}
