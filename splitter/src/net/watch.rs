//! Keeps the view of the network current: looks when the kernel says that something changed, once in a second whatever
//! it says, and more often while a backend's way is unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};

use super::{Hop, Neighbours, NetError, Netlink, News, Route, View, hop};

/// How often to look while all is known.
const CALM: Duration = Duration::from_secs(1);
/// How often to look while the way to a backend is not known, and at most while there is news: a look reads whole
/// tables, and on a large link some neighbour always changes.
const SEARCHING: Duration = Duration::from_millis(100);
/// Routes asked for in one look: the rest has its turn in the next ones, so that tens of thousands of backends do not
/// keep a CPU busy. Neighbours are read whole each time.
const ROUTES_PER_LOOK: usize = 1024;

/// Looks for ever: the ways to the addresses in `wanted`, into `view`. Ends when one of the two is closed.
pub async fn watch(
    netlink: Netlink,
    mut news: News,
    mut wanted: Receiver<BTreeSet<IpAddr>>,
    view: Sender<View>,
) {
    let mut watcher = Watcher::new(netlink);
    loop {
        news.catch_up();
        let addresses = wanted.borrow_and_update().clone();
        let searching = match watcher.look(&addresses).await {
            Ok(seen) => {
                let searching = seen.hops.values().any(|h| matches!(h, Hop::Unresolved(_)));
                view.send_if_modified(|old| {
                    let changed = *old != seen;
                    *old = seen;
                    changed
                });
                searching
            }
            Err(error) => {
                tracing::warn!(%error, "next hops stay as they are for now");
                false
            }
        };
        let next = async {
            tokio::time::sleep(SEARCHING).await;
            if !searching {
                something_or(CALM - SEARCHING, &mut news).await;
            }
        };
        tokio::select! {
            () = next => {}
            changed = wanted.changed() => if changed.is_err() { return },
            () = view.closed() => return,
        }
    }
}

/// Waits for news, but no longer than `pause`; without a subscription that works, that long.
async fn something_or(pause: Duration, news: &mut News) {
    let wait = async {
        if let Err(error) = news.wait().await {
            tracing::warn!(%error, "changes of the network are seen when it is looked at next");
            std::future::pending::<()>().await;
        }
    };
    // Either way it is time to look.
    let _ = tokio::time::timeout(pause, wait).await;
}

struct Watcher {
    netlink: Netlink,
    routes: HashMap<IpAddr, Route>,
    /// Whose route was asked for last.
    turn: Option<IpAddr>,
}

impl Watcher {
    fn new(netlink: Netlink) -> Self {
        Self {
            netlink,
            routes: HashMap::new(),
            turn: None,
        }
    }

    async fn look(&mut self, wanted: &BTreeSet<IpAddr>) -> Result<View, NetError> {
        let links = self.netlink.links().await?;
        let own = self.netlink.addresses().await?;
        self.routes.retain(|address, _| wanted.contains(address));
        for address in self.next_addresses(wanted) {
            let route = self.netlink.route(address).await?;
            self.routes.insert(address, route);
        }
        let neighbours = Neighbours::new(self.netlink.neighbours().await?);
        let mut hops = BTreeMap::new();
        let mut probes = BTreeSet::new();
        for (address, route) in &self.routes {
            hops.insert(*address, hop(route, &links, &neighbours));
            if let Route::Via { interface, next } = route
                && neighbours.wants_probe(*interface, *next)
            {
                probes.insert((*interface, *next));
            }
        }
        for (interface, next) in probes {
            // An interface that is down refuses; the hop says that it is unresolved.
            if let Err(error) = self.netlink.probe(interface, next).await {
                tracing::debug!(interface, %next, %error, "cannot have the neighbour resolved");
            }
        }
        Ok(View { links, own, hops })
    }

    /// The addresses whose routes are asked for now: those never asked for, and the next ones in turn.
    fn next_addresses(&mut self, wanted: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let mut next: Vec<IpAddr> = wanted
            .iter()
            .filter(|address| !self.routes.contains_key(address))
            .copied()
            .collect();
        let after = self.turn;
        let in_turn = wanted
            .iter()
            .filter(|address| after.is_none_or(|after| **address > after))
            .chain(
                wanted
                    .iter()
                    .filter(|address| after.is_some_and(|after| **address <= after)),
            )
            .take(ROUTES_PER_LOOK);
        for address in in_turn {
            self.turn = Some(*address);
            if self.routes.contains_key(address) {
                next.push(*address);
            }
        }
        next
    }
}
