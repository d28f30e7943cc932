//! `splitter get service NAME`.

use std::time::Duration;

use super::Global;
use super::failure::Failure;
use super::format::{address, count, front, moment, percent, plural, seconds, slots_in_transition};
use super::output::{Output, Paint};
use super::route::routes;
use super::table::Table;
use super::watch;
use crate::api::types::{ServiceView, TransitionView};

/// What `get service` takes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("looking").multiple(true).args(["watch", "wait"]))]
pub(super) struct Arguments {
    /// Name of the service.
    #[arg(value_name = "NAME")]
    pub(super) service: String,
    /// Go on showing it until Ctrl-C: redrawn on a terminal, else one line each time.
    #[arg(short, long)]
    pub(super) watch: bool,
    /// Time between two looks, with --watch or --wait.
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "looking", value_parser = duration)]
    pub(super) interval: Duration,
    /// End once the service is there.
    #[arg(long, value_name = "STATE")]
    pub(super) wait: Option<Wait>,
    /// How long to wait at most, with --wait; longer ends with exit code 4.
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Wait {
    /// Every slot is at rest: no transition is under way.
    Settled,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_millis(10) => Ok(duration),
        Ok(_) => Err("expected at least 10ms".into()),
        Err(_) => Err("expected a number and a unit, such as 500ms, 2s or 5m".into()),
    }
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let client = global.client()?;
    if it.watch || it.wait.is_some() {
        return watch::run(it, &client, out).await;
    }
    let view = client.service(&it.service).await?;
    out.view(&view, table)
}

/// The whole service.
pub(super) fn table(service: &ServiceView, paint: Paint) -> String {
    let mut text = format!(
        "{}  {} {}  mode {}, affinity {}, stable {}, {}\n\n",
        paint.bold(&service.name),
        service.protocol,
        front(service),
        service.mode,
        service.affinity,
        service.stable,
        plural(service.slots.into(), "slot"),
    );
    text += &versions(service, paint).render();
    text.push('\n');
    if !service.routes.is_empty() {
        text += &routes(&service.routes, paint).render();
        text.push('\n');
    }
    text += &match &service.transition {
        None => format!(
            "transition  {}\n",
            paint.good("none: every slot is at rest")
        ),
        Some(transition) => story(service, transition, paint),
    };
    text
}

fn versions(service: &ServiceView, paint: Paint) -> Table {
    let headings = [
        "VERSION",
        ">SET",
        ">MEASURED",
        ">SAMPLES",
        ">SLOTS",
        ">FLOWS",
        ">WEIGHT",
        "NEXT HOP",
        ">PACKETS",
        ">BYTES",
    ];
    let mut table = Table::new(&headings);
    for version in &service.versions {
        table.row([
            paint.bold(&version.name),
            percent(version.set_percent),
            version.measured_percent.map_or("-".into(), percent),
            count(version.samples),
            count(version.slots),
            count(version.flow_records),
        ]);
        for backend in &version.backends {
            let next_hop = match backend.next_hop.as_str() {
                "unresolved" | "leaving" => paint.busy(&backend.next_hop),
                _ => backend.next_hop.clone(),
            };
            table.row([
                format!("  {}", address(backend.address, backend.port)),
                String::new(),
                String::new(),
                count(backend.handshakes),
                count(backend.slots),
                count(backend.flow_records),
                count(backend.weight),
                next_hop,
                count(backend.packets),
                count(backend.bytes),
            ]);
        }
    }
    table
}

fn story(service: &ServiceView, transition: &TransitionView, paint: Paint) -> String {
    let settles = match transition.settles_in_seconds {
        Some(time) => format!("in {}, if nothing more holds it", seconds(time)),
        None => "not to be foretold".into(),
    };
    let lines = [
        ("began", moment(transition.began)),
        (
            "slots",
            format!(
                "{} {}: track {}, handover {}, residue {}",
                count(slots_in_transition(service)),
                if service.routes.is_empty() {
                    format!("of {}", count(service.slots))
                } else {
                    "in all, those of routes too".to_owned()
                },
                count(transition.track),
                count(transition.handover),
                count(transition.residue),
            ),
        ),
        ("flows tracked", count(transition.flow_records)),
        ("settles", settles),
        (
            "held by",
            transition.held_by.clone().unwrap_or("nothing".into()),
        ),
    ];
    let mut text = format!("transition  {}\n", paint.busy("under way"));
    for (name, value) in lines {
        text += &format!("  {name:<13}  {value}\n");
    }
    text
}

/// The service in one line, for a log.
pub(super) fn line(service: &ServiceView) -> String {
    let mut parts = vec![service.name.clone()];
    for version in &service.versions {
        let measured = version.measured_percent.map_or("-".into(), percent);
        parts.push(format!(
            "{} set {} measured {measured} ({}) slots {} flows {}",
            version.name,
            percent(version.set_percent),
            count(version.samples),
            count(version.slots),
            count(version.flow_records),
        ));
    }
    parts.push(match &service.transition {
        None => "at rest".into(),
        Some(transition) => {
            let settles = transition.settles_in_seconds;
            format!(
                "{} in transition, settles {}",
                plural(slots_in_transition(service).into(), "slot"),
                settles.map_or("not to be foretold".into(), |t| format!(
                    "in {}",
                    seconds(t)
                )),
            )
        }
    });
    parts.join(" | ") + "\n"
}
