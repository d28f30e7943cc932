//! The algorithm with one rule left out. The rules of packets are constants of a type; those of the daemon are
//! undone between the real round and its writes. Nothing of this can be switched on in a program that ships.

use super::Wire;
use super::report::Report;
use super::world::World;
use splitter::transition::Round;
use splitter_common::abi::{SlotState, SlotWord};
use splitter_common::datapath::transition::Rules;

macro_rules! mutants {
    (
        packets { $($(#[doc = $packet_doc:literal])* $packet:ident without $rule:ident;)* }
        daemon { $($(#[doc = $daemon_doc:literal])* $daemon:ident;)* }
    ) => {
        /// A rule that is left out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutant {
            $($(#[doc = $packet_doc])* $packet,)*
            $($(#[doc = $daemon_doc])* $daemon,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$packet,)* $(Mutant::$daemon,)*];
        }

        pub(super) fn run(seed: u64, wire: Wire, mutant: Mutant) -> Report {
            match mutant {
                $(Mutant::$packet => {
                    struct Without;
                    impl Rules for Without {
                        const $rule: bool = false;
                    }
                    World::<Without>::new(seed, wire, Some(mutant)).run()
                })*
                $(Mutant::$daemon)|* => {
                    World::<splitter_common::datapath::transition::Sound>::new(seed, wire, Some(mutant))
                        .run()
                }
            }
        }
    };
}

mutants! {
    packets {
    /// Packets of one 5-tuple run into each other.
    NoLock without LOCK;
    /// A SYN makes a confirmed record at once.
    SynConfirms without SYN_NEVER_CONFIRMS;
    /// A SYN is always placed anew, whatever record its 5-tuple has.
    SynRepicked without SYN_FOLLOWS_RECORD;
    /// Any packet confirms a pending record, whatever its sequence number.
    NoSequenceCheck without WINDOW;
    /// New flows follow the moment a transition begins.
    NoFreeze without FREEZE;
    /// A SYN without room leaves no stamp.
    NoStampOfBareSyn without STAMP_BARE_SYN;
    /// In HANDOVER a SYN without a record still goes to base.
    HandoverToBase without HANDOVER_DROPS;
    /// A closing record gives way to any SYN at once.
    NoQuiet without QUIET;
    /// Packets do not keep their record alive.
    NoRefresh without REFRESH;
    /// Expired records count until they are overwritten.
    LazyExpiry without EXPIRY;
    /// A full set makes room by overwriting a live record.
    Evicts without NEVER_EVICT;
    /// Records are not looked at where base and current are the same.
    NoLookInResidue without RESIDUE_LOOKS;
    /// A packet that could not be learned leaves no stamp.
    NoStampOfUnlogged without STAMP_UNLOGGED;
    /// Records of other backends leave no stamp.
    NoStampOfForeign without STAMP_FOREIGN;
    /// Records of dead backends count.
    DeadCount without ALIVE;
    /// UDP: new flows follow the moment a transition begins.
    TrackFollows without TRACK_HOLDS;
    /// UDP: in TRACK nothing is learned, and nothing says so.
    LearnsNothing without LEARNS;
    /// UDP: in HANDOVER what has no record is new, also where a packet went by unlogged a moment ago.
    HandoverForgets without HANDOVER_LOOKS_BACK;
    }
    daemon {
    /// `base` changes when the slot was silent for half of `T_idle`.
    SettleTooEarly;
    /// TRACK settles without HANDOVER between.
    NoHandover;
    /// A slot goes to rest the moment its base changes.
    NoResidue;
    /// A slot goes to rest the moment the backend of its base dies.
    DeathSettles;
    /// The word is written before its stamps.
    WordBeforeStamps;
    /// Words are written while packets that read older ones are under way.
    NoGracePeriod;
    /// A route is entered before its row is a copy of the one that governed.
    EnteredBeforeCopied;
    /// A route's row begins with stamps that are long past, and keeps them.
    CopiedWithoutStamps;
    /// A route's row begins at rest, whatever the row that governed was in.
    CopiedAtRest;
    /// Words of the governing row are written between the copy and the entry.
    CoverMovesMeanwhile;
    /// A route goes as soon as its row is to follow the covering one.
    LeavesAtOnce;
    /// A route goes when the owners are the same, at rest or not.
    LeavesInTransition;
    }
}

impl Mutant {
    /// What clients must speak for its rule to matter to them.
    pub fn wires(self) -> &'static [Wire] {
        match self {
            Self::TrackFollows | Self::LearnsNothing | Self::HandoverForgets => &[Wire::Udp],
            Self::NoLock
            | Self::NoRefresh
            | Self::NoLookInResidue
            | Self::NoStampOfUnlogged
            | Self::NoStampOfForeign
            | Self::SettleTooEarly
            | Self::NoResidue => &[Wire::Tcp, Wire::Udp],
            _ => &[Wire::Tcp],
        }
    }

    /// Undoes a rule of the daemon in a round.
    pub(super) fn distort(self, round: &mut Round, words: &[SlotWord]) {
        for write in &mut round.writes {
            let before = words[write.slot as usize];
            let change = &mut write.change;
            let (base, current) = (change.word.base(), change.word.current());
            match (self, change.word.state()) {
                (Mutant::NoHandover, SlotState::Handover) => {
                    change.foreign = Some(round.computed_ns);
                    change.word = SlotWord::new(SlotState::Residue, current, current);
                }
                (Mutant::NoResidue, SlotState::Residue)
                    if before.state() == SlotState::Handover =>
                {
                    change.word = SlotWord::steady(base);
                }
                (Mutant::DeathSettles, SlotState::Residue)
                    if before.base() != base && before.state() != SlotState::Handover =>
                {
                    change.word = SlotWord::steady(base);
                }
                _ => {}
            }
        }
    }
}
