//! What holds for every frame, whatever it is and whatever the tables say.

use super::oracle::sums;
use splitter_common::abi::{Counter, Verdict};

/// What is wrong with what became of a frame at XDP; none where all is right.
///
/// * It is counted once, and the verdict is the counter's.
/// * What passes or is dropped is not touched, but for what is delivered on this host with another address.
/// * What is rewritten has right lengths and checksums where it had them before; a checksum that was wrong stays wrong,
///   so that the receiver can tell, and one that was absent stays absent.
pub fn broken(
    counted: &[Counter],
    verdict: Verdict,
    before: &[u8],
    after: &[u8],
) -> Option<String> {
    let [counter] = counted else {
        return Some(format!("counted {} times: {counted:?}", counted.len()));
    };
    let expected = counter.verdict();
    let moved = expected == Verdict::Transmit && verdict == Verdict::Redirect;
    if verdict != expected && !moved {
        return Some(format!("verdict {verdict:?} of {}", counter.name()));
    }
    let name = counter.name();
    if name.starts_with("pass_") || name.starts_with("drop_") {
        return (before != after).then(|| format!("{name}: its bytes changed"));
    }
    rewritten(name.starts_with("answer_"), before, after)
        .err()
        .map(|fault| format!("{name}: {fault}"))
}

/// Whether a rewritten frame is as right as it was; an answer is a new frame, and need only be right itself.
pub fn rewritten(answer: bool, before: &[u8], after: &[u8]) -> Result<(), String> {
    let Ok(old) = sums(before) else {
        return Ok(());
    };
    let new = sums(after)?;
    if answer && (new.right() || !old.right()) || !answer && new.end_with(&old) {
        return Ok(());
    }
    Err(format!("checksums were {:?}, are {:?}", old.all, new.all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::cast::Family;
    use crate::cases::craft::{Frame, craft};
    use crate::cases::spec::Protocol;

    fn frame(family: Family, protocol: Protocol, to: &str) -> Vec<u8> {
        let frame = Frame {
            to: to.into(),
            payload: 9,
            ..Frame::default()
        };
        craft(&frame, family, protocol).expect("a frame")
    }

    #[test]
    fn a_rewrite_that_forgets_a_checksum_is_seen() {
        for family in [Family::V4, Family::V6] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let before = frame(family, protocol, "vip:80");
                let after = frame(family, protocol, "b1:8080");
                assert_eq!(rewritten(false, &before, &after), Ok(()));
                let mut forgotten = after;
                let port = forgotten.len() - 9 - if protocol == Protocol::Tcp { 18 } else { 6 };
                forgotten[port] ^= 1;
                assert!(rewritten(false, &before, &forgotten).is_err());
                // What was wrong before is left wrong, not mended.
                assert!(rewritten(false, &forgotten, &before).is_err());
                assert_eq!(rewritten(false, &forgotten, &forgotten), Ok(()));
            }
        }
    }

    #[test]
    fn a_frame_that_became_shorter_than_it_says_is_seen() {
        let before = frame(Family::V4, Protocol::Tcp, "vip:80");
        assert!(rewritten(false, &before, &before[..before.len() - 1]).is_err());
    }

    #[test]
    fn what_is_not_ours_is_not_touched_and_each_frame_is_counted_once() {
        let before = frame(Family::V6, Protocol::Udp, "vip:80");
        let mut after = before.clone();
        let seen = |counted: &[Counter], after: &[u8]| {
            broken(counted, Verdict::Pass, &before, after).is_none()
        };
        assert!(seen(&[Counter::PassOther], &before));
        assert!(!seen(&[], &before));
        assert!(!seen(&[Counter::PassOther; 2], &before));
        assert!(!seen(&[Counter::DropTtl], &before));
        after[3] ^= 1;
        assert!(!seen(&[Counter::PassOther], &after));
    }
}
