//! `splitter stats`.

use super::Global;
use super::failure::Failure;
use super::format::{count, moment, plural};
use super::output::{Output, Paint};
use super::table::Table;
use crate::api::types::StatsView;

/// What `stats` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let stats = global.client()?.stats().await?;
    out.view(&stats, table)
}

/// All counters; those that counted something come first, each half in the order of the packet path.
fn table(stats: &StatsView, paint: Paint) -> String {
    let mut counters = Table::new(&["COUNTER", "VERDICT", ">PACKETS", "MEANING"]);
    let (some, none): (Vec<_>, Vec<_>) = stats.counters.iter().partition(|c| c.packets > 0);
    for counter in some.into_iter().chain(none) {
        let name = match (counter.packets, counter.verdict.as_str()) {
            (0, _) => paint.dim(&counter.name),
            (_, "drop") => paint.busy(&counter.name),
            _ => counter.name.clone(),
        };
        counters.row([
            name,
            counter.verdict.clone(),
            count(counter.packets),
            counter.help.clone(),
        ]);
    }
    let daemon = &stats.daemon;
    let lines = [
        ("packets", count(stats.packets)),
        (
            "flow records",
            format!(
                "{}, room for {}",
                count(stats.flow_records),
                count(stats.flow_record_room)
            ),
        ),
        (
            "reverse records",
            format!(
                "{}, room for {}",
                count(stats.reverse_records),
                count(stats.reverse_record_room)
            ),
        ),
        (
            "in transition",
            plural(stats.slots_in_transition.into(), "slot"),
        ),
        (
            "daemon",
            format!(
                "process {}, version {}, since {}",
                daemon.pid,
                daemon.version,
                moment(daemon.started)
            ),
        ),
    ];
    let mut text = counters.render();
    text.push('\n');
    for (name, value) in lines {
        text += &format!("{name:<13}  {value}\n");
    }
    if !daemon.interfaces.is_empty() {
        let mut interfaces = Table::new(&["INTERFACE", ">INDEX", "XDP MODE", ">PROGRAM", ">LINK"]);
        for interface in &daemon.interfaces {
            interfaces.row([
                paint.bold(&interface.name),
                interface.index.to_string(),
                interface.xdp_mode.clone(),
                interface.program_id.to_string(),
                interface.link_id.to_string(),
            ]);
        }
        text.push('\n');
        text += &interfaces.render();
    }
    text
}
