//! The rules of a transition by name.

/// Each constant is a rule that holds in [`Sound`]. They are constants of a type, so a program has no switch for
/// them: the model of flows and owners compiles unsound variants of the same code and must see flows break.
pub trait Rules {
    /// What a packet does with the records of its 5-tuple is one act.
    const LOCK: bool = true;
    /// A SYN makes no more than a pending record.
    const SYN_NEVER_CONFIRMS: bool = true;
    /// A SYN follows the confirmed record of its 5-tuple.
    const SYN_FOLLOWS_RECORD: bool = true;
    /// Only a packet inside the window after the SYN's sequence number confirms.
    const WINDOW: bool = true;
    /// New flows keep going to `base` while a SYN without a record may still be answered.
    const FREEZE: bool = true;
    /// A SYN that is sent to `base` for want of room is remembered by the slot.
    const STAMP_BARE_SYN: bool = true;
    /// A SYN whose room is held by pending records is dropped, to find room when it comes again.
    const AWAITS_ROOM: bool = true;
    /// In HANDOVER no SYN without a record is sent to the `base` that is being retired.
    const HANDOVER_DROPS: bool = true;
    /// A closing record gives way to a SYN only after it was quiet for `T_fin`.
    const QUIET: bool = true;
    /// Packets keep their record alive.
    const REFRESH: bool = true;
    /// An expired record does not count.
    const EXPIRY: bool = true;
    /// A live record is never overwritten by another flow's.
    const NEVER_EVICT: bool = true;
    /// Records are looked at wherever the slot is not at rest, also where `base` and `current` are the same.
    const RESIDUE_LOOKS: bool = true;
    /// A packet that leaves no record where it could not be learned is remembered by the slot.
    const STAMP_UNLOGGED: bool = true;
    /// Records of backends other than `base` are remembered by the slot.
    const STAMP_FOREIGN: bool = true;
    /// Records of dead backends do not count.
    const ALIVE: bool = true;
    /// UDP: in TRACK a packet without a record goes to `base`.
    const TRACK_HOLDS: bool = true;
    /// UDP: in TRACK what goes to `base` leaves a record, or the stamp that says that it could not.
    const LEARNS: bool = true;
    /// UDP: in HANDOVER a packet without a record is a new flow's, unless a packet went by unlogged since, for then the
    /// slot will go back to TRACK.
    const HANDOVER_LOOKS_BACK: bool = true;
}

/// The rules in force.
#[derive(Clone, Copy, Debug)]
pub struct Sound;

impl Rules for Sound {}
