//! Links, addresses and routes, through netlink.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::link::{InfoBridge, InfoData};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::namespace::Namespace;
use super::offload;

/// Runs `work` with a netlink handle of that namespace.
fn netlink<T: Send, F: Future<Output = Result<T>>>(
    namespace: &Namespace,
    work: impl FnOnce(Handle) -> F + Send,
) -> Result<T> {
    namespace.run_async(|| async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let task = tokio::spawn(connection);
        let result = work(handle).await;
        task.abort();
        result
    })
}

async fn index(handle: &Handle, name: &str) -> Result<u32> {
    let link = handle
        .link()
        .get()
        .match_name(name.to_owned())
        .execute()
        .try_next()
        .await;
    Ok(link
        .with_context(|| name.to_owned())?
        .with_context(|| format!("no interface {name}"))?
        .header
        .index)
}

/// Makes the bridges: `front`, and `back` if asked.
pub(super) fn configure_switch(switch: &Namespace, with_back: bool) -> Result<()> {
    // br_netfilter swallows malformed packets on a bridge; parameters exist only where the module does.
    for table in ["ip", "ip6", "arp"] {
        let path = format!("net/bridge/bridge-nf-call-{table}tables");
        if std::path::Path::new("/proc/sys").join(&path).exists() {
            switch.sysctl(&path, "0")?;
        }
    }
    // The switch only forwards frames: without IPv6 it takes no part in the links that it joins.
    switch.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
    let bridges: &[&str] = if with_back {
        &["front", "back"]
    } else {
        &["front"]
    };
    netlink(switch, |handle| async move {
        for bridge in bridges {
            // Snooping would learn which neighbour solicitations to withhold.
            let snooping = InfoData::Bridge(vec![InfoBridge::MulticastSnooping(0)]);
            handle
                .link()
                .add(LinkBridge::new(bridge).set_info_data(snooping).up().build())
                .execute()
                .await?;
        }
        Ok(())
    })
}

/// Joins a host to a bridge: `port` on the switch, `interface` on the host.
pub(super) fn plug(
    switch: &Namespace,
    bridge: &str,
    port: &str,
    host: &Namespace,
    interface: &str,
) -> Result<()> {
    // Duplicate address detection would delay every address by a second.
    host.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
    host.sysctl("net/ipv6/conf/default/accept_ra", "0")?;
    let fd = host.net().as_raw_fd();
    netlink(switch, |handle| async move {
        handle
            .link()
            .add(LinkVeth::new(port, "moving").build())
            .execute()
            .await?;
        let moving = index(&handle, "moving").await?;
        let moved = LinkUnspec::new_with_index(moving)
            .setns_by_fd(fd)
            .name(interface.to_owned())
            .build();
        handle.link().set(moved).execute().await?;
        let bridge = index(&handle, bridge).await?;
        let port = index(&handle, port).await?;
        handle
            .link()
            .set(
                LinkUnspec::new_with_index(port)
                    .controller(bridge)
                    .up()
                    .build(),
            )
            .execute()
            .await?;
        Ok(())
    })
    .with_context(|| format!("port {port}"))?;
    switch.run(|| offload::disable(port))?;
    host.run(|| offload::disable(interface))?;
    up(host, interface)?;
    up(host, "lo")
}

fn up(host: &Namespace, interface: &str) -> Result<()> {
    netlink(host, |handle| async move {
        let index = index(&handle, interface).await?;
        handle
            .link()
            .set(LinkUnspec::new_with_index(index).up().build())
            .execute()
            .await?;
        Ok(())
    })
}

/// Gives an interface an address.
pub(super) fn address(
    host: &Namespace,
    interface: &str,
    address: IpAddr,
    prefix: u8,
) -> Result<()> {
    netlink(host, |handle| async move {
        let index = index(&handle, interface).await?;
        handle
            .address()
            .add(index, address, prefix)
            .execute()
            .await?;
        Ok(())
    })
    .with_context(|| format!("address {address}/{prefix} on {interface}"))
}

/// Adds a route.
pub(super) fn route(
    host: &Namespace,
    destination: IpAddr,
    prefix: u8,
    gateway: IpAddr,
) -> Result<()> {
    netlink(host, |handle| async move {
        let route = match (destination, gateway) {
            (IpAddr::V4(to), IpAddr::V4(by)) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(to, prefix)
                .gateway(by)
                .build(),
            (IpAddr::V6(to), IpAddr::V6(by)) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(to, prefix)
                .gateway(by)
                .build(),
            _ => anyhow::bail!("{destination} by {gateway}: two families"),
        };
        handle.route().add(route).execute().await?;
        Ok(())
    })
    .with_context(|| format!("route to {destination}/{prefix} by {gateway}"))
}
