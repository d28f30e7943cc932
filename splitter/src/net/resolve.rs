//! Route and neighbour tables → the way to a backend. No I/O here.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Hop, Link, Neighbour, Route};

/// The neighbour table by interface and address.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(HashMap<(u32, IpAddr), Neighbour>);

impl Neighbours {
    /// Sorts a listing.
    pub fn new(listing: Vec<Neighbour>) -> Self {
        Self(
            listing
                .into_iter()
                .map(|n| ((n.interface, n.address), n))
                .collect(),
        )
    }

    /// The entry for an address on an interface.
    pub fn get(&self, interface: u32, address: IpAddr) -> Option<&Neighbour> {
        self.0.get(&(interface, address))
    }

    /// Whether the kernel should be asked to find out about it: it does not know the MAC, or has not heard from it for
    /// a while. Our frames bypass the kernel's stack, so it would never ask by itself.
    pub fn wants_probe(&self, interface: u32, address: IpAddr) -> bool {
        self.get(interface, address).is_none_or(|n| !n.fresh)
    }
}

/// The way to a backend whose route is known.
pub fn hop(route: &Route, links: &[Link], neighbours: &Neighbours) -> Hop {
    let (interface, next) = match route {
        Route::Local => return Hop::Local,
        Route::None => return Hop::Unresolved("no route leads there".to_owned()),
        Route::Via { interface, next } => (*interface, *next),
    };
    let Some(link) = links.iter().find(|link| link.index == interface) else {
        return Hop::Unresolved(format!("interface {interface} is gone"));
    };
    let Some(source_mac) = link.mac else {
        return Hop::Unresolved(format!("interface {} has no MAC address", link.name));
    };
    match neighbours.get(interface, next).and_then(|n| n.mac) {
        Some(destination_mac) => Hop::Via {
            interface,
            destination_mac,
            source_mac,
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        },
        None => Hop::Unresolved(format!("{next} does not answer on {}", link.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            name: "eth0".to_owned(),
            index: 3,
            mac: Some([2; 6]),
            mtu: 70_000,
            xdp: None,
        }
    }

    fn table(mac: Option<[u8; 6]>, fresh: bool) -> Neighbours {
        Neighbours::new(vec![Neighbour {
            interface: 3,
            address: gateway(),
            mac,
            fresh,
        }])
    }

    fn gateway() -> IpAddr {
        "192.0.2.1".parse().expect("an address")
    }

    fn via() -> Route {
        Route::Via {
            interface: 3,
            next: gateway(),
        }
    }

    #[test]
    fn a_known_gateway_gives_the_whole_way() {
        assert_eq!(
            hop(&via(), &[link()], &table(Some([7; 6]), true)),
            Hop::Via {
                interface: 3,
                destination_mac: [7; 6],
                source_mac: [2; 6],
                mtu: u16::MAX,
            }
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let known = table(Some([7; 6]), true);
        let reason =
            |route: &Route, links: &[Link], table: &Neighbours| match hop(route, links, table) {
                Hop::Unresolved(reason) => reason,
                other => panic!("resolved: {other:?}"),
            };
        assert_eq!(
            reason(&Route::None, &[link()], &known),
            "no route leads there"
        );
        assert_eq!(reason(&via(), &[], &known), "interface 3 is gone");
        let bare = Link {
            mac: None,
            ..link()
        };
        assert_eq!(
            reason(&via(), &[bare], &known),
            "interface eth0 has no MAC address"
        );
        assert_eq!(
            reason(&via(), &[link()], &table(None, false)),
            "192.0.2.1 does not answer on eth0"
        );
        assert_eq!(hop(&Route::Local, &[], &Neighbours::default()), Hop::Local);
    }

    #[test]
    fn stale_and_unknown_neighbours_are_probed() {
        assert!(Neighbours::default().wants_probe(3, gateway()));
        assert!(table(Some([7; 6]), false).wants_probe(3, gateway()));
        assert!(table(None, false).wants_probe(3, gateway()));
        assert!(!table(Some([7; 6]), true).wants_probe(3, gateway()));
    }
}
