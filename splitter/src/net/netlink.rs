//! The questions that are asked through rtnetlink.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkXdp, XdpAttached};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteType, RouteVia};
use rtnetlink::{Handle, IpVersion, LinkUnspec, RouteMessageBuilder};

use super::{Link, NetError, OwnAddress};

/// A connection to rtnetlink in the network namespace of the thread that made it.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// Where the routing table sends a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this host.
    Local,
    /// Out on an interface, to a gateway or to the address itself.
    Via {
        /// Index of the interface.
        interface: u32,
        /// Whose MAC the frame gets.
        next: IpAddr,
    },
    /// Nowhere.
    None,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of its interface.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, where known.
    pub mac: Option<[u8; 6]>,
    /// Whether the kernel holds the MAC to be right without asking.
    pub fresh: bool,
}

fn failed(what: &'static str) -> impl Fn(rtnetlink::Error) -> NetError {
    move |source| NetError::Request { what, source }
}

impl Netlink {
    /// Connects. Must be called within a tokio runtime.
    pub fn connect() -> Result<Self, NetError> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All interfaces.
    pub async fn links(&self) -> Result<Vec<Link>, NetError> {
        let mut links = Vec::new();
        let mut messages = self.handle.link().get().execute();
        let what = failed("list interfaces");
        while let Some(message) = messages.try_next().await.map_err(&what)? {
            let mut link = Link {
                name: String::new(),
                index: message.header.index,
                mac: None,
                mtu: 0,
                xdp: None,
            };
            for attribute in message.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => link.name = name,
                    LinkAttribute::Address(mac) => link.mac = mac.try_into().ok(),
                    LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                    LinkAttribute::Xdp(xdp) => link.xdp = xdp_of(&xdp),
                    _ => {}
                }
            }
            links.push(link);
        }
        Ok(links)
    }

    /// All addresses of this host.
    pub async fn addresses(&self) -> Result<BTreeSet<OwnAddress>, NetError> {
        let mut own = BTreeSet::new();
        let mut messages = self.handle.address().get().execute();
        let what = failed("list addresses");
        while let Some(message) = messages.try_next().await.map_err(&what)? {
            // On a point-to-point link `Address` is the peer's and `Local` ours; elsewhere both are ours.
            let local = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let address = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            if let Some(address) = local.or(address) {
                own.insert(OwnAddress {
                    interface: message.header.index,
                    address,
                    prefix: message.header.prefix_len,
                });
            }
        }
        Ok(own)
    }

    /// Where the routing table sends a packet to `address`.
    pub async fn route(&self, address: IpAddr) -> Result<Route, NetError> {
        let message = match address {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(v4, 32)
                .build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(v6, 128)
                .build(),
        };
        let mut messages = self.handle.route().get(message).execute();
        let message = match messages.try_next().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Route::None),
            // No route at all comes as an error: network or host unreachable, access.
            Err(rtnetlink::Error::NetlinkError(_)) => return Ok(Route::None),
            Err(e) => return Err(failed("look up a route")(e)),
        };
        match message.header.kind {
            RouteType::Local => return Ok(Route::Local),
            RouteType::Unicast => {}
            _ => return Ok(Route::None),
        }
        let mut interface = None;
        let mut next = address;
        for attribute in message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => interface = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(v4)) => next = v4.into(),
                RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => next = v6.into(),
                RouteAttribute::Via(RouteVia::Inet(v4)) => next = v4.into(),
                RouteAttribute::Via(RouteVia::Inet6(v6)) => next = v6.into(),
                _ => {}
            }
        }
        Ok(interface.map_or(Route::None, |interface| Route::Via { interface, next }))
    }

    /// The neighbour tables of both families.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, NetError> {
        let mut all = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let mut messages = self.handle.neighbours().get().set_family(version).execute();
            let what = failed("list neighbours");
            while let Some(message) = messages.try_next().await.map_err(&what)? {
                let mut mac = None;
                let mut address = None;
                for attribute in message.attributes {
                    match attribute {
                        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                            address = Some(IpAddr::V4(v4));
                        }
                        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                            address = Some(IpAddr::V6(v6));
                        }
                        NeighbourAttribute::LinkLocalAddress(bytes) => {
                            mac = <[u8; 6]>::try_from(bytes).ok();
                        }
                        _ => {}
                    }
                }
                let state = message.header.state;
                let known = !matches!(
                    state,
                    NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None
                );
                if let Some(address) = address {
                    all.push(Neighbour {
                        interface: message.header.ifindex,
                        address,
                        mac: mac.filter(|_| known),
                        fresh: known && state != NeighbourState::Stale,
                    });
                }
            }
        }
        Ok(all)
    }

    /// Has the kernel find out, or confirm, a neighbour's MAC; no packet of ours is needed for it.
    pub async fn probe(&self, interface: u32, address: IpAddr) -> Result<(), NetError> {
        self.handle
            .neighbours()
            .add(interface, address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await
            .map_err(failed("have a neighbour resolved"))
    }

    /// Has an interface receive all multicast frames. Stays so when the daemon ends, as the programs do.
    pub async fn receive_all_multicast(&self, interface: u32) -> Result<(), NetError> {
        let mut message = LinkUnspec::new_with_index(interface).build();
        message.header.interface_family = AddressFamily::Unspec;
        message.header.flags |= LinkFlags::Allmulti;
        message.header.change_mask |= LinkFlags::Allmulti;
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .map_err(failed("set allmulticast on an interface"))
    }
}

fn xdp_of(attributes: &[LinkXdp]) -> Option<(u32, bool)> {
    let native = attributes
        .iter()
        .any(|a| matches!(a, LinkXdp::Attached(XdpAttached::Driver)));
    attributes.iter().find_map(|a| match a {
        LinkXdp::ProgId(id) => Some((*id, native)),
        _ => None,
    })
}
