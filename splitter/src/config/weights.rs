//! `weights`: version → percent.

use super::ConfigError;
use super::node::{Table, quoted};
use crate::model::{BasisPoints, Weights, WeightsError};
use crate::plan;

/// The weights of the versions `names` on `slots` slots; everything to the one at `stable` where none are written.
pub(super) fn read(
    service: &Table<'_>,
    names: &[&str],
    stable: usize,
    slots: u32,
) -> Result<Weights, ConfigError> {
    let Some(node) = service.get("weights") else {
        return Ok(Weights::all_to(stable, names.len()));
    };
    let expected = "a table of versions and percentages, such as { blue = 90, green = 10 }";
    let entries = node.open_table(expected)?.entries();
    let mut shares = vec![BasisPoints(0); names.len()];
    for (version, percent) in &entries {
        let Some(index) = names.iter().position(|name| name == version) else {
            let found = format!("version {}", quoted(version));
            return Err(percent.refuse(found, format!("a version of the service: {}", list(names))));
        };
        let text = percent.number("a percentage from 0 to 100")?;
        shares[index] = BasisPoints::parse(text).map_err(|error| match error {
            WeightsError::Percent { why, .. } => percent.not(why.to_string()),
            other => percent.not(other.to_string()),
        })?;
    }
    let weights = Weights::new(shares).map_err(|error| match error {
        WeightsError::Sum { hundredths } => {
            let found = format!(
                "weights that sum to {}.{:02} %",
                hundredths / 100,
                hundredths % 100
            );
            node.refuse(found, "a sum of 100 %")
        }
        other => node.not(other.to_string()),
    })?;
    let basis_points: Vec<u16> = weights.shares().iter().map(|share| share.0).collect();
    let quotas = plan::quotas(slots, &basis_points);
    for (version, percent) in &entries {
        let index = names
            .iter()
            .position(|name| name == version)
            .expect("looked up above");
        if weights.share(index).0 > 0 && quotas[index] == 0 {
            let found = format!(
                "{} %, which is less than one of {slots} slots",
                percent.shown()
            );
            let expected = format!(
                "0 or at least {} %, or more slots",
                plan::least_weight(slots)
            );
            return Err(percent.refuse(found, expected));
        }
    }
    Ok(weights)
}

/// Names as errors list them.
pub(super) fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}
