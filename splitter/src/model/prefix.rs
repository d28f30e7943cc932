//! Prefixes of addresses (CIDR, RFC 4632 and RFC 4291 §2.3): the clients of a route.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A prefix: an address without host bits and how many bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix; says what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not `ADDRESS/LENGTH`, and not an address.
    #[error("`{0}` is not a CIDR such as 10.8.0.0/16 or 2001:db8::/32")]
    Form(String),
    /// Longer than the address has bits.
    #[error("`{text}` has a prefix length that is not from 0 to {most}")]
    Length {
        /// As it was written.
        text: String,
        /// Bits of the family.
        most: u8,
    },
    /// Bits are set behind the prefix.
    #[error("`{text}` has host bits set: the prefix is {right}")]
    HostBits {
        /// As it was written.
        text: String,
        /// What was meant, if the length is right.
        right: Prefix,
    },
}

impl Prefix {
    /// The prefix of `length` bits that an address is in; a length beyond the family's is its longest.
    pub fn of(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        let (address, most) = match address {
            IpAddr::V4(v4) => {
                let kept = mask(32, length) as u32;
                (IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & kept)), 32)
            }
            IpAddr::V6(v6) => {
                let kept = mask(128, length);
                (IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & kept)), 128)
            }
        };
        Self {
            address,
            length: length.min(most),
        }
    }

    /// Its address, all bits behind the prefix 0.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self::of(address, self.length) == *self
    }

    /// Whether all clients of `other` are clients of this one, which is wider.
    pub fn covers(&self, other: &Self) -> bool {
        self.length < other.length && self.contains(other.address)
    }
}

/// The first `length` of `bits` bits, at the low end of a number.
const fn mask(bits: u32, length: u8) -> u128 {
    let host = bits.saturating_sub(length as u32);
    match u128::MAX.checked_shl(host) {
        Some(mask) => mask,
        None => 0,
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// An address alone is the prefix of itself.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let form = || PrefixError::Form(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let address = address.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(form());
            }
            Some(digits) => match digits.parse() {
                Ok(length) if length <= most => length,
                _ => {
                    return Err(PrefixError::Length {
                        text: text.to_owned(),
                        most,
                    });
                }
            },
        };
        let right = Self::of(address, length);
        if right.address == address {
            Ok(right)
        } else {
            Err(PrefixError::HostBits {
                text: text.to_owned(),
                right,
            })
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    #[test]
    fn texts() {
        for (text, shown) in [
            ("10.8.0.0/16", "10.8.0.0/16"),
            ("10.8.1.1", "10.8.1.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8:0::1", "2001:db8::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(prefix(text).to_string(), shown);
        }
        for (text, error) in [
            (
                "10.8.0.1/16",
                "`10.8.0.1/16` has host bits set: the prefix is 10.8.0.0/16",
            ),
            (
                "10.8.0.0/33",
                "`10.8.0.0/33` has a prefix length that is not from 0 to 32",
            ),
            (
                "::1/129",
                "`::1/129` has a prefix length that is not from 0 to 128",
            ),
            (
                "10.8.0.0/",
                "`10.8.0.0/` is not a CIDR such as 10.8.0.0/16 or 2001:db8::/32",
            ),
            (
                "10.8.0.0/+8",
                "`10.8.0.0/+8` is not a CIDR such as 10.8.0.0/16 or 2001:db8::/32",
            ),
            (
                "office",
                "`office` is not a CIDR such as 10.8.0.0/16 or 2001:db8::/32",
            ),
        ] {
            assert_eq!(text.parse::<Prefix>().expect_err(text).to_string(), error);
        }
    }

    #[test]
    fn wider_prefixes_cover() {
        let wide = prefix("10.8.0.0/16");
        assert!(wide.covers(&prefix("10.8.3.0/24")));
        assert!(!wide.covers(&wide));
        assert!(!wide.covers(&prefix("10.9.3.0/24")));
        assert!(prefix("0.0.0.0/0").covers(&wide));
        assert!(!prefix("::/0").covers(&wide));
        assert!(wide.contains("10.8.255.1".parse().expect("an address")));
        assert!(wide.contains("::ffff:10.8.255.1".parse().expect("an address")));
        assert!(!wide.contains("10.9.0.1".parse().expect("an address")));
    }
}
