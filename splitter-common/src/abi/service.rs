//! Services, their look-up keys, and what belongs to the host as a whole.

use bytemuck::{Pod, Zeroable};

use super::Address;

/// Values that hold for all services; one entry, written before the program is attached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// Secret key of the flow hash. Kept across restarts: another key re-hashes every flow.
    pub hash_key: [u64; 2],
    /// Number of sets in the flow table less one; the number is a power of two.
    pub flow_set_mask: u32,
    /// Number of cells in the table of sampled handshakes less one; the number is a power of two.
    pub handshake_mask: u32,
    /// Number of sets in the table of reverse records less one; the number is a power of two.
    pub reverse_set_mask: u32,
    /// Zero.
    pub reserved: u32,
    /// Source of the calls of backends that come back to where they came from, IPv4 then IPv6; zero: none.
    pub hairpin_source: [Address; 2],
    /// Outer sources of packets to IPv4 backends in `ipip` mode.
    pub tunnel_v4: Prefix,
    /// Outer sources of packets to IPv6 backends in `ipip` mode.
    pub tunnel_v6: Prefix,
    /// Source of ICMP errors; zero: the VIP.
    pub icmp_v4: Address,
    /// Source of ICMPv6 errors; zero: the VIP.
    pub icmp_v6: Address,
}

/// A range of addresses, of which flows take one each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Prefix {
    /// The lowest one, in words of its bytes as they stand.
    pub base: [u64; 2],
    /// The bits in which the others differ, in the same form.
    pub hosts: [u64; 2],
}

impl Prefix {
    /// The range of addresses whose first `bits` bits are those of `address`, an IPv4 one in its mapped form (so 96 bits
    /// more than its prefix).
    pub const fn new(address: Address, bits: u32) -> Self {
        let hosts = match u128::MAX.checked_shr(bits) {
            Some(hosts) => hosts,
            None => 0,
        };
        let base = u128::from_be_bytes(address) & !hosts;
        Self {
            base: words(base),
            hosts: words(hosts),
        }
    }

    /// The address of a flow.
    #[inline(always)]
    pub const fn address(&self, flow_hash: u64) -> Address {
        let high = self.base[0] | self.hosts[0] & flow_hash.rotate_left(32);
        let low = self.base[1] | self.hosts[1] & flow_hash;
        let (h, l) = (high.to_ne_bytes(), low.to_ne_bytes());
        [
            h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], l[0], l[1], l[2], l[3], l[4], l[5],
            l[6], l[7],
        ]
    }
}

/// The bytes of an address as two words.
const fn words(address: u128) -> [u64; 2] {
    [((address >> 64) as u64).to_be(), (address as u64).to_be()]
}

/// What a packet says about which service it is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct ServiceKey {
    /// The VIP.
    pub vip: Address,
    /// Destination port, host order.
    pub port: u16,
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
}

/// What the host does for a VIP as an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Vip {
    /// [`Vip::ANNOUNCED`] and the other flags.
    pub flags: u32,
}

impl Vip {
    /// ARP requests and neighbour solicitations for it are answered (`announce = "arp"`).
    pub const ANNOUNCED: u32 = 1;
    /// Echo requests to it are answered (`icmp_echo` of any of its services).
    pub const ECHO: u32 = 2;

    /// Whether `flag` is set.
    #[inline(always)]
    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// An interface that carries the program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Interface {
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: [u8; 2],
}

/// How packets get to a backend.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// New MAC addresses only; the backend holds the VIP.
    Dsr = 0,
    /// New destination address and port; replies come back through this host and are put right.
    Nat = 1,
    /// Inside another packet, IPv4 or IPv6; the backend holds the VIP and takes it out.
    Ipip = 2,
}

/// What chooses the slot of a flow.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// The whole 5-tuple.
    Flow = 0,
    /// The client's address alone.
    Client = 1,
}

/// How the flows of a UDP service are known in a transition. (TCP has SYNs.)
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// Not at all: they follow the slot table at once.
    Hash = 0,
    /// All are learned first; what has no record then is new.
    Track = 1,
    /// QUIC: an Initial packet begins one.
    Quic = 2,
}

/// A service as the packet path sees it. Times are in nanoseconds of the coarse monotonic clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Service {
    /// The VIP; with `port` and `protocol` the identity of the service.
    pub vip: Address,
    /// `D` of the transition rules (`prepare`): how far apart copies of one SYN may be.
    pub prepare_ns: u64,
    /// `T_record` (`drain.idle`): a confirmed record not seen for so long is over.
    pub record_ns: u64,
    /// `T_pending`: a pending record not seen for so long is over.
    pub pending_ns: u64,
    /// `T_fin`: a closing record must have been quiet for so long before its 5-tuple may begin anew.
    pub fin_ns: u64,
    /// `W`: how far after the SYN's sequence number the confirming packet may be, in bytes.
    pub window: u32,
    /// Index of the first slot of its default row in `SLOTS` and `STAMPS`; the rows of its routes lie elsewhere.
    pub first_slot: u32,
    /// Number of slots of each of its rows less one; the number is a power of two.
    pub slot_mask: u32,
    /// Index of its first backend in `BACKENDS`; backend numbers in slot words and records count from here.
    pub first_backend: u32,
    /// How many entries of `BACKENDS` are its own.
    pub backend_count: u32,
    /// The lowest destination port that it was first started with, host order; others come and go.
    pub port: u16,
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// A [`Mode`].
    pub mode: u8,
    /// An [`Affinity`].
    pub affinity: u8,
    /// 1: the entry is in use.
    pub in_use: u8,
    /// Its own index in `SERVICES`: what reverse records call it.
    pub index: u16,
    /// 1: it may have routes, so clients are looked up in `ROUTES`.
    pub routed: u8,
    /// Leading bits of the client's address that affinity looks at; 0: all of them.
    pub client_prefix: u8,
    /// A [`Flows`]; 0 where the protocol is TCP.
    pub flows: u8,
    /// Zero.
    pub reserved: [u8; 1],
}
