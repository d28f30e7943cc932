//! `splitter route add | remove | list SERVICE`.

use std::time::Duration;

use super::Global;
use super::change::How;
use super::failure::Failure;
use super::format::{count, moment, seconds};
use super::output::{Output, Paint};
use super::table::Table;
use crate::api::types::{AddRoute, RemoveRoute, RouteChange, RouteList, RouteView};
use crate::model::Prefix;

/// What `route` does.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Commands {
    /// Gives clients a version whatever the weights; of several prefixes with a client, the longest counts.
    Add(Add),
    /// Lets clients follow the weights, or the next wider route, again.
    Remove(Remove),
    /// Lists the routes of a service.
    List(List),
}

/// What `route add` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Name of the service.
    service: String,
    #[command(flatten)]
    clients: Clients,
    /// The version that their new flows go to; their established flows stay.
    #[arg(long)]
    version: String,
    /// The routes leave by themselves after this time, such as 90s, 30m or 12h.
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    #[command(flatten)]
    how: How,
}

/// What `route remove` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Name of the service.
    service: String,
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    how: How,
}

/// What `route list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Name of the service.
    service: String,
}

#[derive(Debug, clap::Args)]
struct Clients {
    /// Prefixes of the clients, separated by commas.
    #[arg(long, required = true, value_name = "CIDR", value_delimiter = ',', value_parser = prefix)]
    clients: Vec<String>,
}

fn prefix(text: &str) -> Result<String, String> {
    match text.parse::<Prefix>() {
        Ok(prefix) => Ok(prefix.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        Ok(_) => Err("expected at least 1s".into()),
        Err(_) => Err("expected a number and a unit, such as 90s, 30m or 12h".into()),
    }
}

pub(super) async fn run(it: &Commands, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let client = global.client()?;
    match it {
        Commands::Add(it) => {
            let route = AddRoute {
                clients: it.clients.clients.clone(),
                version: it.version.clone(),
                ttl_seconds: it.ttl.map(|ttl| ttl.as_secs()),
                now: it.how.now,
                dry_run: it.how.dry_run,
            };
            out.view(&client.add_route(&it.service, &route).await?, change)
        }
        Commands::Remove(it) => {
            let route = RemoveRoute {
                clients: it.clients.clients.clone(),
                now: it.how.now,
                dry_run: it.how.dry_run,
            };
            out.view(&client.remove_route(&it.service, &route).await?, change)
        }
        Commands::List(it) => out.view(&client.routes(&it.service).await?, list),
    }
}

fn change(change: &RouteChange, paint: Paint) -> String {
    let clients = change.clients.join(", ");
    let mut text = match &change.version {
        Some(version) => format!("{clients}: new flows go to {}\n", paint.bold(version)),
        None => format!("{clients}: new flows follow what holds without the route\n"),
    };
    if let Some(expires) = change.expires {
        text += &format!("until {}\n", moment(expires));
    }
    let holds = match (change.slots_moved, change.holds_in_seconds) {
        (0, _) => "nothing changes".into(),
        (_, wait) if wait <= 0.0 => "at once".into(),
        (_, wait) => format!("in {}", seconds(wait)),
    };
    let (moved, slots) = (count(change.slots_moved), count(change.slots));
    text += &format!("slots moved: {moved} of {slots}\n");
    text += &format!(
        "established flows moved: {}\n",
        count(change.established_flows_moved)
    );
    text += &format!("new flows follow: {holds}\n");
    if change.dry_run {
        text += &paint.dim("dry run: nothing was changed");
        text.push('\n');
    }
    text
}

fn list(list: &RouteList, paint: Paint) -> String {
    if list.routes.is_empty() {
        return format!("{} has no routes\n", list.service);
    }
    routes(&list.routes, paint).render()
}

/// Routes as a table.
pub(super) fn routes(routes: &[RouteView], paint: Paint) -> Table {
    let mut table = Table::new(&["CLIENTS", "VERSION", "STATE", ">MOVING", "FROM", "UNTIL"]);
    for route in routes {
        let state = match route.state.as_str() {
            "settled" => paint.good(&route.state),
            _ => paint.busy(&route.state),
        };
        table.row([
            route.clients.clone(),
            route.version.clone().unwrap_or_else(|| "-".into()),
            state,
            count(route.slots_in_transition),
            route.origin.clone(),
            route.expires.map_or_else(|| "-".into(), moment),
        ]);
    }
    table
}
