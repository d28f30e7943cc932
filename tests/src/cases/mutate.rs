//! Changes to a sound frame, such as a fault on the way or a malicious sender makes.

use super::random::Random;

/// Where headers lie in an untagged frame: of what matters, most.
const FRONT: usize = 80;

/// Changes `bytes` in one to three places; `other` is another frame to take parts from.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let end = if random.once_in(4) {
            bytes.len()
        } else {
            bytes.len().min(FRONT)
        };
        let at = random.below(end as u64) as usize;
        match random.below(16) {
            0 => bytes.truncate(at),
            1 => bytes.resize(bytes.len() + at, 0),
            2 | 3 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            4 | 5 => bytes[at] = random.number() as u8,
            6 | 7 => length(random, bytes),
            8 => swap(random, bytes),
            9 => splice(bytes, other, at),
            // A header more, or one less.
            10 => {
                let again = bytes[at..].to_vec();
                bytes.splice(at..at, again.into_iter().take(random.pick(&[4, 8, 20, 40])));
            }
            11 => {
                let fewer = random.pick(&[1, 4, 8, 20, 40]).min(bytes.len() - at);
                bytes.drain(at..at + fewer);
            }
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
}

/// A length field: IPv4's header and total length, IPv6's payload length, TCP's data offset, UDP's length, an
/// extension's length.
fn length(random: &mut Random, bytes: &mut [u8]) {
    let v6 = bytes.get(12) == Some(&0x86);
    let l4 = if v6 { 54 } else { 34 };
    let at = random.pick(&[14, 16, 18, l4 + 12, l4 + 4, l4 + 1]);
    let Some(field) = bytes.get_mut(at..at + 2) else {
        return;
    };
    let value = u16::from_be_bytes([field[0], field[1]]);
    let value = match random.below(6) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => value.wrapping_add(random.pick(&[0x1000, 0xf000, 0x0100])),
        3 => 0,
        4 => u16::MAX,
        _ => random.below(200) as u16,
    };
    field.copy_from_slice(&value.to_be_bytes());
}

/// Two fields of the same width change places: MACs, addresses, ports, or any two words.
fn swap(random: &mut Random, bytes: &mut [u8]) {
    let word = |random: &mut Random| 2 * random.below(32) as usize;
    let (a, b, width) = match random.below(5) {
        0 => (0, 6, 6),
        1 => (26, 30, 4),
        2 => (22, 38, 16),
        3 => (34, 36, 2),
        _ => (word(random), word(random), 2),
    };
    if a.max(b) + width > bytes.len() {
        return;
    }
    for index in 0..width {
        bytes.swap(a + index, b + index);
    }
}

/// The rest of the frame, from `at` on, is that of another.
fn splice(bytes: &mut Vec<u8>, other: &[u8], at: usize) {
    bytes.truncate(at);
    bytes.extend(other.iter().skip(at));
}
