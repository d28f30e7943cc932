//! Weights of versions: shares of new flows, in basis points, that sum to 100 %.

use std::fmt;

/// Hundredths of a percent; 10,000 is everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// 100 %.
    pub const WHOLE: Self = Self(10_000);

    /// Reads a percentage with at most two decimals: `33.33`, `5`, `100`.
    pub fn parse(text: &str) -> Result<Self, WeightsError> {
        let refused = |why| WeightsError::Percent {
            text: text.to_owned(),
            why,
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let empty_decimals = text.contains('.') && decimals.is_empty();
        if whole.is_empty() || empty_decimals || !digits(whole) || !digits(decimals) {
            return Err(refused(PercentFault::Number));
        }
        if decimals.trim_end_matches('0').len() > 2 {
            return Err(refused(PercentFault::Decimals));
        }
        let hundredths: u32 = decimals
            .bytes()
            .chain([b'0', b'0'])
            .take(2)
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let whole = whole.trim_start_matches('0');
        let whole: u32 = match whole.len() {
            0 => 0,
            1..=3 => whole.parse().expect("one to three digits"),
            _ => return Err(refused(PercentFault::Range)),
        };
        let points = whole * 100 + hundredths;
        match u16::try_from(points) {
            Ok(points) if points <= Self::WHOLE.0 => Ok(Self(points)),
            _ => Err(refused(PercentFault::Range)),
        }
    }

    /// Takes a percentage as a number, as JSON has it; what is written with more than two decimals is refused.
    pub fn from_percent(percent: f64) -> Result<Self, WeightsError> {
        // The shortest text that reads back as this number is what its writer meant.
        Self::parse(&percent.to_string())
    }

    /// In percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// Percent without superfluous zeros, and no sign: `33.33`, `5`.
impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        if hundredths == 0 {
            f.pad(&whole.to_string())
        } else if hundredths.is_multiple_of(10) {
            f.pad(&format!("{whole}.{}", hundredths / 10))
        } else {
            f.pad(&format!("{whole}.{hundredths:02}"))
        }
    }
}

/// Shares of new flows by version, in the order of the service's versions; they sum to 10,000.
/// Made by its constructors, which see to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(pub Vec<BasisPoints>);

impl Weights {
    /// Takes one share per version.
    pub fn new(shares: Vec<BasisPoints>) -> Result<Self, WeightsError> {
        let sum: u32 = shares.iter().map(|share| u32::from(share.0)).sum();
        if sum == u32::from(BasisPoints::WHOLE.0) {
            Ok(Self(shares))
        } else {
            Err(WeightsError::Sum { hundredths: sum })
        }
    }

    /// Everything to the version at `index` of `count`.
    pub fn all_to(index: usize, count: usize) -> Self {
        assert!(index < count, "version {index} of {count}");
        let mut shares = vec![BasisPoints(0); count];
        shares[index] = BasisPoints::WHOLE;
        Self(shares)
    }

    /// Takes percentages as text by version name, those of versions that are not named being 0, and puts them into the
    /// order of `versions`.
    pub fn parse<'a>(
        versions: &[&str],
        named: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, WeightsError> {
        let mut points = Vec::new();
        for (version, percent) in named {
            points.push((version, BasisPoints::parse(percent)?));
        }
        Self::from_named(versions, points)
    }

    /// Takes shares by version name, those of versions that are not named being 0.
    pub fn from_named<'a>(
        versions: &[&str],
        named: impl IntoIterator<Item = (&'a str, BasisPoints)>,
    ) -> Result<Self, WeightsError> {
        let mut shares = vec![None; versions.len()];
        for (version, share) in named {
            let Some(index) = versions.iter().position(|name| *name == version) else {
                return Err(WeightsError::UnknownVersion {
                    version: version.to_owned(),
                    known: versions.join(", "),
                });
            };
            if shares[index].replace(share).is_some() {
                return Err(WeightsError::Twice(version.to_owned()));
            }
        }
        Self::new(shares.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The shares, in the order of the service's versions.
    pub fn shares(&self) -> &[BasisPoints] {
        &self.0
    }

    /// The share of the version at `index`; 0 for one that is not there.
    pub fn share(&self, index: usize) -> BasisPoints {
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// What is wrong with a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PercentFault {
    /// Not a plain decimal number.
    Number,
    /// More than two decimals.
    Decimals,
    /// Above 100.
    Range,
}

impl fmt::Display for PercentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a percentage from 0 to 100",
            Self::Decimals => "at most two decimals, steps of 0.01 %",
            Self::Range => "at most 100 %",
        })
    }
}

/// Why weights were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// A percentage cannot be read.
    #[error("found \"{text}\", expected {why}")]
    Percent {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: PercentFault,
    },
    /// They do not sum to 100 %.
    #[error("found a sum of {}.{:02} %, expected 100 %", .hundredths / 100, .hundredths % 100)]
    Sum {
        /// The sum, in hundredths of a percent.
        hundredths: u32,
    },
    /// A version that the service does not have.
    #[error("found version \"{version}\", expected one of {known}")]
    UnknownVersion {
        /// Its name.
        version: String,
        /// The versions that there are.
        known: String,
    },
    /// A version named twice.
    #[error("found version \"{0}\" twice, expected each version once")]
    Twice(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> PercentFault {
        match BasisPoints::parse(text) {
            Err(WeightsError::Percent { why, .. }) => why,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn percentages_are_read_exactly() {
        for (text, points) in [
            ("0", 0),
            ("100", 10_000),
            ("33.33", 3_333),
            ("0.5", 50),
            ("0.01", 1),
            ("007.10", 710),
            ("5.1000", 510),
        ] {
            assert_eq!(BasisPoints::parse(text), Ok(BasisPoints(points)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused_for_a_reason() {
        for text in [
            "", ".", "5.", ".5", "-1", "+1", "1e2", "5 %", "5,5", "nan", "٣",
        ] {
            assert_eq!(fault(text), PercentFault::Number, "{text}");
        }
        assert_eq!(fault("0.005"), PercentFault::Decimals);
        for text in ["100.01", "101", "99999999999999999999"] {
            assert_eq!(fault(text), PercentFault::Range, "{text}");
        }
    }

    #[test]
    fn every_basis_point_survives_text_and_number() {
        for points in (0..=10_000).map(BasisPoints) {
            assert_eq!(BasisPoints::parse(&points.to_string()), Ok(points));
            assert_eq!(BasisPoints::from_percent(points.percent()), Ok(points));
        }
        assert!(
            BasisPoints::from_percent(0.1 + 0.2).is_err(),
            "0.30000000000000004"
        );
        assert!(BasisPoints::from_percent(f64::NAN).is_err());
        assert!(BasisPoints::from_percent(-0.01).is_err());
    }

    #[test]
    fn display_is_short() {
        let shown =
            [0, 1, 10, 50, 100, 3_333, 10_000].map(|points| BasisPoints(points).to_string());
        assert_eq!(shown, ["0", "0.01", "0.1", "0.5", "1", "33.33", "100"]);
        assert_eq!(format!("[{:>6}]", BasisPoints(50)), "[   0.5]");
    }

    #[test]
    fn weights_come_in_the_order_of_versions() {
        let versions = ["blue", "green", "old"];
        let weights = Weights::parse(&versions, [("green", "10"), ("blue", "90")]).unwrap();
        assert_eq!(
            weights.shares(),
            [BasisPoints(9_000), BasisPoints(1_000), BasisPoints(0)]
        );
        assert_eq!(weights.share(3), BasisPoints(0));
        assert_eq!(
            Weights::all_to(1, 2).shares(),
            [BasisPoints(0), BasisPoints::WHOLE]
        );
    }

    #[test]
    fn wrong_weights_are_refused() {
        let error = |named: &[(&'static str, &'static str)]| {
            Weights::parse(&["blue", "green"], named.iter().copied())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&[("blue", "90")]),
            "found a sum of 90.00 %, expected 100 %"
        );
        assert_eq!(
            error(&[("blue", "90"), ("green", "10.05")]),
            "found a sum of 100.05 %, expected 100 %"
        );
        assert_eq!(
            error(&[("red", "100")]),
            "found version \"red\", expected one of blue, green"
        );
        assert_eq!(
            error(&[("blue", "50"), ("blue", "50")]),
            "found version \"blue\" twice, expected each version once"
        );
        assert_eq!(
            error(&[("blue", "x")]),
            "found \"x\", expected a percentage from 0 to 100"
        );
    }
}
