//! What became of every packet: each one ends in exactly one counter.
//!
//! Each packet that comes in at XDP is counted once. What leaves the host is the data plane's only where it is the reply
//! of a backend on this host: that is counted once too ([`Counter::ReplyLocal`], or [`Counter::DropInternal`] where it
//! could not be rewritten), and nothing else at TC egress. So the sum of all counters is the number of packets that came
//! in and of local replies that were put right.

/// What the kernel is told to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On to the stack of this host.
    Pass,
    /// Gone.
    Drop,
    /// Out on the interface it came in on.
    Transmit,
    /// Out on another interface.
    Redirect,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $verdict:ident;)*) => {
        /// Why a packet got its verdict; the index in `COUNTERS`.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $(#[doc = concat!("`", $text, "`:" $(, $doc)*)] $name,)*
        }

        impl Counter {
            /// All of them, in the order of their indices.
            pub const ALL: &[Counter] = &[$(Counter::$name,)*];

            /// The name that users see.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$name => $text,)* }
            }

            /// What it means, in one sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$name => concat!($($doc),*).trim_ascii_start(),)* }
            }

            /// The kind of verdict that is counted here. [`Verdict::Transmit`] stands for
            /// [`Verdict::Redirect`] too: a forwarded packet leaves where its next hop is.
            pub const fn verdict(self) -> Verdict {
                match self { $(Counter::$name => Verdict::$verdict,)* }
            }
        }
    };
}

counters! {
    /// Not IPv4, IPv6 or anything else that concerns us.
    PassNotIp = "pass_not_ip", Pass;
    /// IP, but to no VIP and port of a service, nor a reply of a backend.
    PassNoService = "pass_no_service", Pass;
    /// To a VIP, but no TCP or UDP that can be steered (ICMP that is about no flow, another protocol, an IPv4 address in an IPv6
    /// header, a broadcast or multicast frame): left to the stack.
    PassOther = "pass_other", Pass;
    /// Malformed or truncated below the header that would say whose it is.
    PassMalformed = "pass_malformed", Pass;
    /// Steered to a backend in `dsr` mode.
    ForwardDsr = "forward_dsr", Transmit;
    /// Steered to a backend behind this host in `nat` mode.
    ForwardNat = "forward_nat", Transmit;
    /// Steered to a backend on this host in `nat` mode, delivered through the stack.
    DeliverLocal = "deliver_local", Pass;
    /// ICMP error about a packet of a flow, to the backend that the flow belongs to.
    ForwardIcmp = "forward_icmp", Transmit;
    /// The same, to a backend on this host in `nat` mode, delivered through the stack.
    DeliverIcmp = "deliver_icmp", Pass;
    /// Reply of a backend behind this host, its source put back to the VIP.
    ReplyNat = "reply_nat", Transmit;
    /// Reply of a backend behind this host whose next hop only the stack can find; its source is the VIP.
    ReplyStack = "reply_stack", Pass;
    /// Reply of a backend on this host, or ICMP error about a client's packet to it, its source put back to the VIP at TC
    /// egress.
    ReplyLocal = "reply_local", Pass;
    /// ICMP error about a client's packet, from a backend or a router behind this host in `nat` mode: the packet that it
    /// quotes is again as the client sent it.
    ReplyIcmp = "reply_icmp", Transmit;
    /// ARP request or neighbour solicitation for a VIP, answered.
    AnswerNeighbour = "answer_neighbour", Transmit;
    /// Echo request to a VIP with `icmp_echo`, answered.
    AnswerEcho = "answer_echo", Transmit;
    /// For a service, but its TCP or UDP header is cut off or impossible, or it is a fragment that overlaps the first one
    /// or is empty or too far off.
    DropMalformed = "drop_malformed", Drop;
    /// For a service, with TCP flags that no stack sends to a server (SYN with FIN, RST or ACK; FIN alone; none at all).
    DropFlags = "drop_flags", Drop;
    /// A fragment to a VIP whose first one was not seen, or not in the last 30 seconds.
    DropFragmentBeforeFirst = "drop_fragment_before_first", Drop;
    /// The service has no backend that could take the flow.
    DropNoBackend = "drop_no_backend", Drop;
    /// The next hop of the backend is not known (no neighbour entry yet).
    DropNextHop = "drop_next_hop", Drop;
    /// Longer than the MTU of the other interface that leads to the backend, which cannot carry it.
    DropTooLong = "drop_too_long", Drop;
    /// Time to live or hop limit used up on the way to the backend or to the client.
    DropTtl = "drop_ttl", Drop;
    /// A SYN in the moment of a hand-over; the client sends it again.
    DropHandover = "drop_handover", Drop;
    /// A SYN of a slot in transition whose flow set is full of handshakes, as in a flood; the client sends it again.
    DropNoRoom = "drop_no_room", Drop;
    /// Other packets of the same flow set were being worked on for too long; the sender sends it again.
    DropBusy = "drop_busy", Drop;
    /// A client's port is in use by its flow to another service of the same backend, which could not tell them apart.
    DropReverseConflict = "drop_reverse_conflict", Drop;
    /// No room to remember whose flow it is at a backend of several services, and not the service that misses belong to.
    DropReverseFull = "drop_reverse_full", Drop;
    /// A backend's call that would be answered past this host: no `hairpin_source`, no free port of it, or no record.
    DropHairpin = "drop_hairpin", Drop;
    /// A table entry that must exist does not, or a header could not be rewritten: a fault of splitter.
    DropInternal = "drop_internal", Drop;
}
