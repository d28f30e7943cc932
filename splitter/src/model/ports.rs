//! The ports that clients dial.

use std::fmt;

/// 1 to 1,024 different ports, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(Vec<u16>);

/// Why numbers are no [`Ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// There is none.
    #[error("no port")]
    None,
    /// Port 0 is nobody's.
    #[error("port 0")]
    Zero,
    /// One stands there more than once.
    #[error("port {0} twice")]
    Twice(u16),
    /// There are so many.
    #[error("{0} ports")]
    Many(usize),
}

impl Ports {
    /// The most that a service has: each is a row of a map.
    pub const MOST: usize = 1024;

    /// One port, not 0.
    ///
    /// # Errors
    ///
    /// Port 0.
    pub fn one(port: u16) -> Result<Self, PortsError> {
        Self::new(vec![port])
    }

    /// Ports in any order.
    ///
    /// # Errors
    ///
    /// See [`PortsError`].
    pub fn new(mut ports: Vec<u16>) -> Result<Self, PortsError> {
        ports.sort_unstable();
        if let Some(pair) = ports.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PortsError::Twice(pair[0]));
        }
        match (ports.first(), ports.len()) {
            (None, _) => Err(PortsError::None),
            (Some(0), _) => Err(PortsError::Zero),
            (_, count) if count > Self::MOST => Err(PortsError::Many(count)),
            _ => Ok(Self(ports)),
        }
    }

    /// The lowest.
    pub fn first(&self) -> u16 {
        self.0[0]
    }

    /// The port, where there is only one.
    pub fn only(&self) -> Option<u16> {
        match self.0[..] {
            [port] => Some(port),
            _ => None,
        }
    }

    /// Whether it is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.binary_search(&port).is_ok()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// `80,443,8000-8099`: neighbours together, as in the configuration.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|left, right| left + 1 == *right);
        for (at, run) in runs.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                _ => write!(f, "{comma}{}", run[0])?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_short_as_they_can_be() {
        for (ports, text) in [
            (vec![443], "443"),
            (vec![443, 80], "80,443"),
            ((8000..=8099).chain([443]).collect(), "443,8000-8099"),
            (vec![65_534, 65_535, 1], "1,65534-65535"),
        ] {
            assert_eq!(Ports::new(ports).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_no_service_can_have_is_refused() {
        assert_eq!(Ports::new(vec![]), Err(PortsError::None));
        assert_eq!(Ports::new(vec![80, 0]), Err(PortsError::Zero));
        assert_eq!(Ports::new(vec![80, 443, 80]), Err(PortsError::Twice(80)));
        assert_eq!(
            Ports::new((1..=1025).collect()),
            Err(PortsError::Many(1025))
        );
        assert_eq!(Ports::new((1..=1024).collect()).unwrap().count(), 1024);
    }
}
