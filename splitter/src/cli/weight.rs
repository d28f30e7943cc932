//! `splitter weight SERVICE VERSION=PERCENT…`.

use std::collections::BTreeMap;

use super::Global;
use super::change;
use super::failure::Failure;
use super::output::Output;
use crate::api::types::SetWeights;

/// What `weight` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the service.
    service: String,
    /// Shares of new flows, percent with at most two decimals; they sum to 100, versions left out get 0.
    #[arg(required = true, value_name = "VERSION=PERCENT")]
    weights: Vec<String>,
    #[command(flatten)]
    how: change::How,
}

pub(super) async fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let set = SetWeights {
        weights: parse(&it.weights).map_err(Failure::Usage)?,
        now: it.how.now,
        dry_run: it.how.dry_run,
    };
    change::run(&it.service, &set, global, out).await
}

/// The weights as the API wants them; a sentence about the first fault found.
fn parse(words: &[String]) -> Result<BTreeMap<String, f64>, String> {
    let mut weights = BTreeMap::new();
    let mut sum = 0;
    for word in words {
        let (version, percent) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}`: expected VERSION=PERCENT, such as blue=90"))?;
        if version.is_empty() {
            return Err(format!("`{word}`: the version before `=` is missing"));
        }
        let basis_points = basis_points(percent).ok_or_else(|| {
            format!(
                "`{word}`: expected a percentage from 0 to 100 with at most two decimals, found `{percent}`"
            )
        })?;
        let share = f64::from(basis_points) / 100.0;
        if weights.insert(version.to_owned(), share).is_some() {
            return Err(format!("version `{version}` is named twice"));
        }
        sum += basis_points;
    }
    if sum != 10_000 {
        let (whole, part) = (sum / 100, sum % 100);
        return Err(format!(
            "the weights sum to {whole}.{part:02} %, expected 100 %"
        ));
    }
    Ok(weights)
}

/// Hundredths of a percent, exactly: no float comes near the sum.
fn basis_points(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !(1..=3).contains(&whole.len()) || !(1..=2).contains(&part.len()) {
        return None;
    }
    if !digits(whole) || !digits(part) {
        return None;
    }
    let tenths = if part.len() == 1 { 10 } else { 1 };
    let value = whole.parse::<u32>().ok()? * 100 + part.parse::<u32>().ok()? * tenths;
    (value <= 10_000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::basis_points;

    #[test]
    fn percentages_are_read_exactly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(9000)),
            ("12.5", Some(1250)),
            ("0.01", Some(1)),
            ("99.99", Some(9999)),
            ("100.00", Some(10_000)),
            ("100.01", None),
            ("101", None),
            ("0.001", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("1e1", None),
            ("", None),
            ("٣", None),
            ("1.+1", None),
        ] {
            assert_eq!(basis_points(text), expected, "{text}");
        }
    }
}
