//! The loop: what happens in which order at the start, and who is served afterwards.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::core::{Core, ROUND_NS};
use super::error::StartError;
use super::store::Store;
use super::{DaemonError, Options, clock};
use crate::api::Request;
use crate::dataplane::{Attached, Dataplane, DataplaneError, Found, Kernel, Sizes};
use crate::model::{Announce, Configuration, DaemonSettings};
use crate::net::{self, Announcement, Hop, Link, Netlink, News, View};
use crate::object::OBJECT;

/// Between looks while all slots are at rest.
const CALM: Duration = Duration::from_secs(1);
/// How long the start waits for a first look at the network: with tens of thousands of backends it takes a while.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How long it then waits for next hops before the program is attached.
const FIRST_HOPS: Duration = Duration::from_secs(2);
/// How often a VIP is announced at the start, a second apart: one frame may be lost.
const ANNOUNCEMENTS: u32 = 3;
/// Between sweeps of flow records that are long past: see `flow_table::sweep`, which wants one a year.
const SWEEP: Duration = Duration::from_hours(6);

pub(super) async fn run(
    options: Options,
    mut requests: mpsc::Receiver<Request>,
    ready: oneshot::Sender<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let Options {
        configuration,
        config_path,
    } = options;
    let mut hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;
    let settings = &configuration.daemon;
    let netlink = Netlink::connect()?;
    // A name that is wrong is found before anything is made.
    carriers(settings, &netlink.links().await?)?;

    let sizes = Sizes {
        slots: settings.max_slots,
        flow_records: settings.flow_records,
        reverse_records: settings.reverse_records,
    };
    let kernel = Kernel::open(&settings.bpffs, sizes, OBJECT)?;
    // Once more, now that no other daemon can change the programs on them.
    let carriers = carriers(settings, &netlink.links().await?)?;
    // All of them before anything is written: a start that is refused leaves in force what was.
    for link in &carriers {
        kernel.check(&found(link), settings.xdp_mode)?;
    }
    let store = Store::open(&settings.state_dir)?;
    let mut core = Core::start(kernel, store, &configuration, Box::new(clock::now))
        .map_err(|e| e.in_file(config_path.clone()))?;

    core.carriers = carriers.iter().map(|link| link.index).collect();

    let (want, wanted) = watch::channel(core.wanted_hops());
    let (view, mut seen) = watch::channel(View::default());
    let watcher = tokio::spawn(net::watch(
        netlink.clone(),
        News::subscribe()?,
        wanted,
        view,
    ));
    wait_for_hops(&mut seen, &core.wanted_hops()).await;
    let first = seen.borrow_and_update().clone();
    refuse_own(settings, &first).map_err(|e| e.in_file(config_path))?;
    core.see(first)?;
    core.attached = attach(&mut core.dataplane, &carriers, settings)?;
    // Once more: entries of interfaces that do not carry the new program are taken away only now.
    let first = core.view.clone();
    core.see(first)?;
    announce(&configuration, &carriers, &core.view, &netlink).await;
    // The receiver is gone where nobody waits to be told.
    let _ = ready.send(());

    tokio::pin!(shutdown);
    let mut next = clock::due_in(Duration::ZERO);
    let mut next_sweep = clock::due_in(SWEEP);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(()) = hangup.recv() => {
                tracing::warn!("SIGHUP: reloading is not supported; restart the daemon, which loses no packet");
            }
            () = sleep_until(next) => {
                if let Err(error) = core.tick() {
                    tracing::error!(%error, "will be tried again");
                }
                if let Err(error) = core.write_view() {
                    tracing::error!(%error, "next hops will be written again");
                }
                want.send_if_modified(|old| replace(old, core.wanted_hops()));
                next = clock::due_in(pace(&core));
            }
            Ok(()) = seen.changed() => {
                let view = seen.borrow_and_update().clone();
                if let Err(error) = core.see(view) {
                    tracing::error!(%error, "next hops will be written again");
                }
            }
            () = sleep_until(next_sweep) => {
                if let Err(error) = core.sweep(clock::now().ns) {
                    tracing::error!(%error, "the flow table will be swept again");
                }
                next_sweep = clock::due_in(SWEEP);
            }
            // Where the API is gone nobody can ask any more, but transitions go on.
            Some(request) = requests.recv() => {
                answer(&mut core, request);
                next = next.min(clock::due_in(pace(&core)));
            }
        }
    }
    watcher.abort();
    Ok(())
}

fn pace<D: Dataplane>(core: &Core<D>) -> Duration {
    if core.is_moving() {
        Duration::from_nanos(ROUND_NS)
    } else {
        CALM
    }
}

fn replace(old: &mut BTreeSet<IpAddr>, new: BTreeSet<IpAddr>) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}

/// A request's answer; whoever asked may have gone away in the meantime.
fn answer<D: Dataplane>(core: &mut Core<D>, request: Request) {
    let now = clock::now();
    match request {
        Request::Services(to) => drop(to.send(core.list(now))),
        Request::Service(name, to) => {
            let view = core.find(&name).and_then(|at| core.service_view(at, now));
            drop(to.send(view));
        }
        Request::Weights(name, weights, to) => drop(to.send(core.change(&name, &weights, now))),
        Request::Routes(name, to) => drop(to.send(core.routes(&name))),
        Request::AddRoute(name, route, to) => drop(to.send(core.add_route(&name, &route, now))),
        Request::RemoveRoute(name, route, to) => {
            drop(to.send(core.remove_route(&name, &route, now)));
        }
        Request::Explain(name, caller, to) => {
            drop(to.send(core.explain(&name, caller, now)));
        }
        Request::Flows(name, limit, to) => drop(to.send(core.flows(&name, limit, now))),
        Request::Stats(to) => drop(to.send(core.stats(now))),
    }
}

/// The interfaces of the configuration as they are.
fn carriers(settings: &DaemonSettings, links: &[Link]) -> Result<Vec<Link>, DataplaneError> {
    settings
        .interfaces
        .iter()
        .map(|name| {
            let link = links.iter().find(|link| link.name == *name).cloned();
            link.ok_or_else(|| DataplaneError::NoInterface(name.clone()))
        })
        .collect()
}

/// Waits until the way to every backend is known, but not for ever: a backend may be down.
async fn wait_for_hops(seen: &mut watch::Receiver<View>, wanted: &BTreeSet<IpAddr>) {
    let all_known = |view: &View| {
        let known = |a| matches!(view.hops.get(a), Some(Hop::Local | Hop::Via { .. }));
        wanted.iter().all(known)
    };
    let looked = |view: &View| !view.links.is_empty();
    if tokio::time::timeout(FIRST_LOOK, seen.wait_for(looked))
        .await
        .is_err()
    {
        tracing::warn!("nothing is known of the network yet: next hops stay as they are for now");
    }
    let in_time = tokio::time::timeout(FIRST_HOPS, seen.wait_for(all_known))
        .await
        .is_ok();
    if !in_time {
        for (address, hop) in &seen.borrow().hops {
            if let Hop::Unresolved(reason) = hop {
                tracing::warn!(backend = %address, reason, "its next hop is not known yet");
            }
        }
    }
}

/// What is sent to a hairpin source never reaches the stack of this host.
pub(super) fn refuse_own(settings: &DaemonSettings, view: &View) -> Result<(), StartError> {
    let own = |source: &&IpAddr| view.own.iter().any(|own| own.address == **source);
    match settings.hairpin_source.iter().find(own) {
        None => Ok(()),
        Some(source) => Err(StartError::Refused(format!(
            "daemon.hairpin_source: {source} is an address of this host, whose own connections would be lost; take one \
             that nobody has and that leads to this host"
        ))),
    }
}

fn found(link: &Link) -> Found {
    Found {
        name: link.name.clone(),
        index: link.index,
        xdp: link.xdp,
    }
}

fn attach(
    kernel: &mut Kernel,
    carriers: &[Link],
    settings: &DaemonSettings,
) -> Result<Vec<Attached>, DataplaneError> {
    let mut attached = Vec::new();
    for link in carriers {
        let done = kernel.attach(&found(link), settings.xdp_mode)?;
        tracing::info!(
            interface = done.name,
            mode = if done.native { "native" } else { "skb" },
            program = done.program,
            link = done.link,
            replaced = done.replaced,
            "attached"
        );
        attached.push(done);
    }
    for name in kernel.pinned_interfaces()? {
        if !settings.interfaces.contains(&name) {
            tracing::warn!(
                interface = name,
                "still carries splitter's program though it is not in daemon.interfaces; `splitter detach` takes it off"
            );
        }
    }
    Ok(attached)
}

/// Tells the link who has the VIPs that are to be announced.
async fn announce(
    configuration: &Configuration,
    carriers: &[Link],
    view: &View,
    netlink: &Netlink,
) {
    let mut announcements = Vec::new();
    let announced = configuration.services.iter();
    let announced = announced.filter(|service| service.announce == Announce::Arp);
    let hairpins = configuration.daemon.hairpin_source.iter().copied();
    for vip in announced.map(|service| service.vip).chain(hairpins) {
        for link in net::interfaces_for(vip, carriers, &view.own) {
            let Some(mac) = link.mac else { continue };
            let announcement = Announcement {
                vip,
                interface: link.name.clone(),
                mac,
            };
            if announcements.contains(&announcement) {
                continue;
            }
            // Neighbour solicitations go to a multicast group of the VIP, which nobody on this host has joined.
            if vip.is_ipv6()
                && let Err(error) = netlink.receive_all_multicast(link.index).await
            {
                tracing::warn!(interface = link.name, %error, "solicitations for {vip} may not arrive");
            }
            announcements.push(announcement);
        }
    }
    if announcements.is_empty() {
        return;
    }
    tokio::spawn(async move {
        for _ in 0..ANNOUNCEMENTS {
            for announcement in &announcements {
                if let Err(error) = net::announce(announcement) {
                    let Announcement { vip, interface, .. } = announcement;
                    tracing::warn!(%vip, interface, %error, "cannot announce");
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}
