//! The keyed hash that places flows: SipHash-1-3 (Aumasson and Bernstein 2012, one compression and three finalisation
//! rounds), 64-bit output, over the byte strings below. Any textbook SipHash-1-3 gives the same number.
//!
//! The 128-bit key is `Settings::hash_key`: `k0` is its first word, `k1` its second (as key *bytes*: each word little
//! endian, `k0` first).
//!
//! [`flow_hash`] of IPv4, 16 bytes (addresses and ports as they stand on the wire):
//!
//! | bytes | 0–3 | 4–7 | 8–9 | 10–11 | 12 | 13 | 14–15 |
//! |---|---|---|---|---|---|---|---|
//! | | source address | destination address | source port | destination port | protocol (6, 17) | `0x04` | zero |
//!
//! [`flow_hash`] of IPv6, 40 bytes:
//!
//! | bytes | 0–15 | 16–31 | 32–33 | 34–35 | 36 | 37 | 38–39 |
//! |---|---|---|---|---|---|---|---|
//! | | source address | destination address | source port | destination port | protocol (6, 17) | `0x06` | zero |
//!
//! [`client_hash`] is over the same strings with ports of zero, so that a client has one slot whichever port of the
//! service it dials; with the bits of the source address after the first `Service::client_prefix` (0: none of them)
//! zero; and with `0x84` or `0x86` for `0x04` or `0x06`, so that it is never the hash of a flow. [`reverse_hash`], of a flow as its backend sees it, is over the same strings with
//! the backend's address and port as destination, and `0x44` or `0x46`.
//!
//! The strings are whole 64-bit words, so the last SipHash block holds nothing but the length (16 or 40) in its top
//! byte. The slot of a flow is named by the low bits of its hash (of the flow or of the client, as the service's
//! affinity says): [`slot`]. The flow table and the table of sampled handshakes use other bits of the flow hash.

use crate::abi::{Address, Affinity, Service};
use crate::datapath::parse::Headers;

const FAMILY_V4: u8 = 0x04;
const FAMILY_V6: u8 = 0x06;
/// What a hash is of.
#[derive(Clone, Copy)]
struct Kind {
    mark: u8,
    /// Leading bits of the source address that count.
    prefix: u32,
}

const FLOW: Kind = Kind {
    mark: 0,
    prefix: 128,
};
const CLIENT: Kind = Kind { mark: 0x80, ..FLOW };
const REVERSE: Kind = Kind { mark: 0x40, ..FLOW };

/// Hash of the 5-tuple.
#[inline(always)]
pub fn flow_hash(key: &[u64; 2], headers: &Headers) -> u64 {
    let ports =
        u64::from(headers.source_port.to_be()) | u64::from(headers.destination_port.to_be()) << 16;
    of_headers(key, headers, ports, FLOW)
}

/// Hash of the client's address, or of its first `prefix` bits (0: all), with the VIP and protocol that it talks to: the
/// ports have no part in it.
#[inline(always)]
pub fn client_hash(key: &[u64; 2], headers: &Headers, prefix: u8) -> u64 {
    let kind = match prefix {
        0 => CLIENT,
        bits => Kind {
            prefix: u32::from(bits),
            ..CLIENT
        },
    };
    of_headers(key, headers, 0, kind)
}

/// Hash of a flow as its backend sees it: what tells reverse records apart.
#[inline(always)]
pub fn reverse_hash(key: &[u64; 2], flow: &Reverse<'_>) -> u64 {
    let ports = u64::from(flow.client_port.to_be()) | u64::from(flow.backend_port.to_be()) << 16;
    let (client, backend) = (flow.client, flow.backend);
    hash(
        key,
        flow.ipv6 != 0,
        client,
        backend,
        ports,
        flow.protocol,
        REVERSE,
    )
}

/// A flow as its backend sees it.
#[derive(Clone, Copy)]
pub struct Reverse<'a> {
    /// The client's address.
    pub client: &'a Address,
    /// The backend's address.
    pub backend: &'a Address,
    /// The client's port.
    pub client_port: u16,
    /// The backend's port.
    pub backend_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 1: IPv6, 0: IPv4.
    pub ipv6: u8,
}

/// Index in `SLOTS` of a packet's slot; `flow_hash` is its [`flow_hash`].
#[inline(always)]
pub fn slot(key: &[u64; 2], service: &Service, headers: &Headers, flow_hash: u64) -> u32 {
    let hash = if service.affinity == Affinity::Client as u8 {
        client_hash(key, headers, service.client_prefix)
    } else {
        flow_hash
    };
    service
        .first_slot
        .wrapping_add(hash as u32 & service.slot_mask)
}

#[inline(always)]
fn of_headers(key: &[u64; 2], headers: &Headers, ports: u64, kind: Kind) -> u64 {
    let (source, destination) = (&headers.source, &headers.destination);
    let (ipv6, protocol) = (headers.ipv6 != 0, headers.protocol);
    hash(key, ipv6, source, destination, ports, protocol, kind)
}

#[inline(always)]
fn hash(
    key: &[u64; 2],
    ipv6: bool,
    source: &Address,
    destination: &Address,
    ports: u64,
    protocol: u8,
    kind: Kind,
) -> u64 {
    let mut state = State::new(key);
    let (family, length) = if !ipv6 {
        state.absorb(first_bits(v4_word(source), kind.prefix) | v4_word(destination) << 32);
        (FAMILY_V4, 16)
    } else {
        state.absorb(first_bits(low_word(source), kind.prefix));
        state.absorb(first_bits(
            high_word(source),
            kind.prefix.saturating_sub(64),
        ));
        state.absorb(low_word(destination));
        state.absorb(high_word(destination));
        (FAMILY_V6, 40)
    };
    state.absorb(ports | u64::from(protocol) << 32 | u64::from(family | kind.mark) << 40);
    state.finish(length)
}

/// The first `bits` bits, as they stand on the wire, of a word read from there in little endian; the others are zero.
#[inline(always)]
fn first_bits(word: u64, bits: u32) -> u64 {
    let mask = if bits >= 64 {
        u64::MAX
    } else {
        !(u64::MAX >> bits)
    };
    word & mask.swap_bytes()
}

/// The IPv4 address in an IPv4-mapped one, its first byte lowest.
#[inline(always)]
fn v4_word(a: &Address) -> u64 {
    u64::from(u32::from_le_bytes([a[12], a[13], a[14], a[15]]))
}

#[inline(always)]
fn low_word(a: &Address) -> u64 {
    u64::from_le_bytes([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]])
}

#[inline(always)]
fn high_word(a: &Address) -> u64 {
    u64::from_le_bytes([a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]])
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    fn new(key: &[u64; 2]) -> Self {
        Self {
            v0: key[0] ^ 0x736f_6d65_7073_6575,
            v1: key[1] ^ 0x646f_7261_6e64_6f6d,
            v2: key[0] ^ 0x6c79_6765_6e65_7261,
            v3: key[1] ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    fn finish(mut self, length: u64) -> u64 {
        self.absorb(length << 56);
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::abi::mapped;

    /// SipHash-1-3 over bytes, as the paper words it and not as the code above: blocks, a last block with the length.
    fn textbook(key: &[u64; 2], bytes: &[u8]) -> u64 {
        let mut state = State::new(key);
        let mut blocks = bytes.chunks_exact(8);
        for block in &mut blocks {
            state.absorb(u64::from_le_bytes(block.try_into().unwrap()));
        }
        let mut last = [0; 8];
        last[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
        last[7] = bytes.len() as u8;
        state.absorb(u64::from_le_bytes(last));
        state.v2 ^= 0xff;
        (0..3).for_each(|_| state.round());
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }

    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    #[test]
    fn rounds_are_those_of_the_standard_library() {
        // The standard library's default hasher is SipHash-1-3 with a key of zero.
        use std::hash::Hasher;
        for length in 0..64 {
            let bytes: std::vec::Vec<u8> = (0..length).collect();
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            hasher.write(&bytes);
            assert_eq!(textbook(&[0, 0], &bytes), hasher.finish(), "{length} bytes");
        }
    }

    #[test]
    fn flows_hash_as_the_documented_bytes() {
        let v4 = Headers {
            protocol: 6,
            source_port: 0x1234,
            destination_port: 443,
            source: mapped([192, 0, 2, 1]),
            destination: mapped([203, 0, 113, 10]),
            ..Headers::default()
        };
        let bytes = [
            192, 0, 2, 1, 203, 0, 113, 10, 0x12, 0x34, 0x01, 0xbb, 6, 0x04, 0, 0,
        ];
        assert_eq!(flow_hash(&KEY, &v4), textbook(&KEY, &bytes));
        let bytes = [192, 0, 2, 1, 203, 0, 113, 10, 0, 0, 0, 0, 6, 0x84, 0, 0];
        assert_eq!(client_hash(&KEY, &v4, 0), textbook(&KEY, &bytes));
        assert_eq!(client_hash(&KEY, &v4, 32), textbook(&KEY, &bytes));
        let bytes = [192, 0, 0, 0, 203, 0, 113, 10, 0, 0, 0, 0, 6, 0x84, 0, 0];
        assert_eq!(client_hash(&KEY, &v4, 22), textbook(&KEY, &bytes));

        let v6 = Headers {
            ipv6: 1,
            protocol: 17,
            source: core::array::from_fn(|i| i as u8 + 1),
            destination: core::array::from_fn(|i| 0xf0 - i as u8),
            ..v4
        };
        let mut bytes = std::vec::Vec::new();
        bytes.extend(v6.source);
        bytes.extend(v6.destination);
        bytes.extend([0x12, 0x34, 0x01, 0xbb, 17, 0x06, 0, 0]);
        assert_eq!(flow_hash(&KEY, &v6), textbook(&KEY, &bytes));
        let mut client = bytes.clone();
        client.truncate(32);
        client.extend([0, 0, 0, 0, 17, 0x86, 0, 0]);
        assert_eq!(client_hash(&KEY, &v6, 0), textbook(&KEY, &client));
        client[7] &= 0xfe;
        client[8..16].fill(0);
        assert_eq!(client_hash(&KEY, &v6, 63), textbook(&KEY, &client));
    }

    #[test]
    fn client_affinity_ignores_the_source_port_and_flow_affinity_does_not() {
        let key = KEY;
        let mut service = Service {
            first_slot: 64,
            slot_mask: 1023,
            affinity: Affinity::Client as u8,
            ..Service::default()
        };
        let slots = |service: &Service| {
            let mut slots: std::vec::Vec<u32> = (1..200)
                .map(|source_port| {
                    let headers = Headers {
                        source_port,
                        ..Headers::default()
                    };
                    slot(&key, service, &headers, flow_hash(&key, &headers))
                })
                .collect();
            slots.sort_unstable();
            slots.dedup();
            slots
        };
        assert_eq!(slots(&service).len(), 1);
        service.affinity = Affinity::Flow as u8;
        assert!(slots(&service).len() > 100);
        assert!(
            slots(&service)
                .iter()
                .all(|slot| (64..64 + 1024).contains(slot))
        );
    }
}
