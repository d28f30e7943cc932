//! Host-wide values, as they stand in `SETTINGS`.

use std::net::IpAddr;

use splitter_common::abi::{Prefix, Settings};

use crate::dataplane::{Dataplane, HANDSHAKE_CELLS};
use crate::model::{AddressRange, DaemonSettings, Seed};
use crate::net::to_abi;

/// The values that follow from the configuration.
pub(super) fn settings<D: Dataplane>(
    seed: Seed,
    dataplane: &D,
    daemon: &DaemonSettings,
) -> Settings {
    let hairpin = |v4: bool| {
        let mut sources = daemon.hairpin_source.iter();
        address(sources.find(|source| source.is_ipv4() == v4).copied())
    };
    let (tunnel, icmp) = (&daemon.tunnel_source, &daemon.icmp_source);
    Settings {
        hash_key: seed.0,
        flow_set_mask: dataplane.flow_sets() - 1,
        handshake_mask: HANDSHAKE_CELLS - 1,
        reverse_set_mask: dataplane.reverse_sets() - 1,
        reserved: 0,
        hairpin_source: [hairpin(true), hairpin(false)],
        tunnel_v4: prefix(tunnel.v4),
        tunnel_v6: prefix(tunnel.v6),
        icmp_v4: address(icmp.v4),
        icmp_v6: address(icmp.v6),
    }
}

fn prefix(range: Option<AddressRange>) -> Prefix {
    range.map_or(Prefix::default(), |range| {
        let before = if range.address.is_ipv4() { 96 } else { 0 };
        Prefix::new(to_abi(range.address), before + u32::from(range.bits))
    })
}

fn address(address: Option<IpAddr>) -> [u8; 16] {
    address.map_or([0; 16], to_abi)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, bits: u8, hash: u64) -> IpAddr {
        let address = text.parse().expect("an address");
        let range = AddressRange { address, bits };
        crate::net::from_abi(&prefix(Some(range)).address(hash))
    }

    #[test]
    fn flows_fill_the_host_bits_and_only_those() {
        let cases = [
            ("10.255.0.0", 16, u64::MAX, "10.255.255.255"),
            ("10.255.0.0", 16, 0, "10.255.0.0"),
            ("192.0.2.7", 32, u64::MAX, "192.0.2.7"),
            ("192.0.2.4", 30, u64::MAX, "192.0.2.7"),
            ("fd00:1::", 64, u64::MAX, "fd00:1::ffff:ffff:ffff:ffff"),
            (
                "fd00:1::",
                48,
                u64::MAX,
                "fd00:1:0:ffff:ffff:ffff:ffff:ffff",
            ),
            ("fd00:1::9", 128, u64::MAX, "fd00:1::9"),
        ];
        for (range, bits, hash, expected) in cases {
            let expected: IpAddr = expected.parse().expect("an address");
            assert_eq!(of(range, bits, hash), expected, "{range}/{bits}");
        }
    }

    #[test]
    fn every_bit_of_the_hash_moves_the_source() {
        for bit in 0..64 {
            assert_ne!(of("fd00:1::", 64, 0), of("fd00:1::", 64, 1 << bit), "{bit}");
        }
    }
}
