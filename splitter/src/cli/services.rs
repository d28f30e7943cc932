//! `splitter get services`.

use super::Global;
use super::failure::Failure;
use super::format::{front, plural, short_percent, slots_in_transition};
use super::output::{Output, Paint};
use super::table::Table;
use crate::api::types::ServiceList;

/// What `get services` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let list = global.client()?.services().await?;
    out.view(&list, table)
}

fn table(list: &ServiceList, paint: Paint) -> String {
    let headings = [
        "NAME",
        "VIP",
        "PROTOCOL",
        "MODE",
        "STABLE",
        "WEIGHTS",
        "TRANSITION",
    ];
    let mut table = Table::new(&headings);
    for service in &list.services {
        let weights: Vec<String> = service
            .versions
            .iter()
            .map(|v| format!("{}={}", v.name, short_percent(v.set_percent)))
            .collect();
        let transition = match &service.transition {
            None => paint.good("at rest"),
            Some(_) => paint.busy(plural(slots_in_transition(service).into(), "slot")),
        };
        table.row([
            paint.bold(&service.name),
            front(service),
            service.protocol.clone(),
            service.mode.clone(),
            service.stable.clone(),
            weights.join(" "),
            transition,
        ]);
    }
    table.render()
}
