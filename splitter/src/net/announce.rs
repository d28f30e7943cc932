//! Tells the link who has a VIP: gratuitous ARP (RFC 5227) and unsolicited neighbour advertisements (RFC 4861).

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike as _, sendto, socket,
};

use super::{Link, OwnAddress};

/// A VIP to be announced on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The VIP.
    pub vip: IpAddr,
    /// Name of the interface.
    pub interface: String,
    /// The interface's MAC, which is to stand for the VIP.
    pub mac: [u8; 6],
}

/// Interfaces on which a VIP is announced: those in whose subnets it is, or all that carry the program where it is in
/// none.
pub fn interfaces_for<'a>(
    vip: IpAddr,
    carriers: &'a [Link],
    own: &BTreeSet<OwnAddress>,
) -> Vec<&'a Link> {
    let holds = |link: &Link| {
        own.iter()
            .any(|a| a.interface == link.index && in_subnet(vip, a.address, a.prefix))
    };
    let near: Vec<&Link> = carriers.iter().filter(|link| holds(link)).collect();
    if near.is_empty() {
        carriers.iter().collect()
    } else {
        near
    }
}

fn in_subnet(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32 - u32::from(prefix.min(32));
            a.to_bits().checked_shr(shift) == n.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128 - u32::from(prefix.min(128));
            a.to_bits().checked_shr(shift) == n.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

/// Sends one announcement.
pub fn announce(announcement: &Announcement) -> io::Result<()> {
    let frame = match announcement.vip {
        IpAddr::V4(vip) => gratuitous_arp(vip, announcement.mac).to_vec(),
        IpAddr::V6(vip) => unsolicited_advertisement(vip, announcement.mac).to_vec(),
    };
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let address = link_address(&announcement.interface)?;
    sendto(socket.as_raw_fd(), &frame, &address, MsgFlags::empty())?;
    Ok(())
}

/// The link-layer address that stands for an interface in packet sockets.
fn link_address(interface: &str) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .filter_map(|entry| entry.address)
        .filter(|address| address.family() == Some(AddressFamily::Packet))
        .find_map(|address| address.as_link_addr().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such interface"))
}

fn gratuitous_arp(vip: Ipv4Addr, mac: [u8; 6]) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    // ARP; Ethernet, IPv4, 6 and 4 bytes, request: sender and target protocol address are the VIP.
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&vip.octets());
    frame[38..42].copy_from_slice(&vip.octets());
    frame
}

fn unsolicited_advertisement(vip: Ipv6Addr, mac: [u8; 6]) -> [u8; 86] {
    const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const ICMPV6_LENGTH: u8 = 32;
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac);
    // IPv6, no flow label; next header ICMPv6; hop limit 255, or it is not believed.
    frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, ICMPV6_LENGTH, 58, 255]);
    frame[22..38].copy_from_slice(&vip.octets());
    frame[38..54].copy_from_slice(&ALL_NODES);
    // Neighbour advertisement with the override flag; option: target link-layer address.
    frame[54] = 136;
    frame[58] = 0x20;
    frame[62..78].copy_from_slice(&vip.octets());
    frame[78..80].copy_from_slice(&[2, 1]);
    frame[80..86].copy_from_slice(&mac);
    let pseudo = u32::from(ICMPV6_LENGTH) + 58;
    let sum = frame[22..]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>()
        + pseudo;
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    frame[56..58].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn link(index: u32) -> Link {
        Link {
            name: format!("eth{index}"),
            index,
            mac: Some(MAC),
            mtu: 1500,
            xdp: None,
        }
    }

    #[test]
    fn a_vip_is_announced_where_its_subnet_is() {
        let own = |address: &str, prefix, interface| OwnAddress {
            interface,
            address: address.parse().expect("an address"),
            prefix,
        };
        let own: BTreeSet<_> = [
            own("192.0.2.5", 24, 1),
            own("198.51.100.5", 24, 2),
            own("2001:db8::5", 64, 2),
        ]
        .into();
        let links = [link(1), link(2)];
        let names = |vip: &str| -> Vec<String> {
            interfaces_for(vip.parse().expect("an address"), &links, &own)
                .iter()
                .map(|link| link.name.clone())
                .collect()
        };
        assert_eq!(names("192.0.2.77"), ["eth1"]);
        assert_eq!(names("2001:db8::77"), ["eth2"]);
        assert_eq!(names("203.0.113.1"), ["eth1", "eth2"]);
    }

    #[test]
    fn arp_says_the_vip_twice() {
        let vip = Ipv4Addr::new(203, 0, 113, 10);
        let frame = gratuitous_arp(vip, MAC);
        assert_eq!(&frame[..6], &[0xff; 6]);
        assert_eq!(&frame[12..14], &[8, 6]);
        assert_eq!(&frame[20..22], &[0, 1]);
        assert_eq!(&frame[22..28], &MAC);
        assert_eq!(frame[28..32], frame[38..42]);
        assert_eq!(frame[28..32], vip.octets());
    }

    #[test]
    fn advertisement_checksum_adds_up() {
        let frame = unsolicited_advertisement("2001:db8::a".parse().expect("an address"), MAC);
        let mut sum: u32 = 32 + 58;
        for pair in frame[22..].chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
        assert_eq!(&frame[80..86], &MAC);
    }
}
