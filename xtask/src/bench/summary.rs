//! The summary of the runs: one row for each subject in each case.

use std::{fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{measured::Measured, suite::Suite};

/// How a subject did in a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) suite: String,
    pub(crate) case: String,
    pub(crate) subject: String,
    /// The median of the rounds.
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// The subject of the same case that this one is compared with.
    pub(crate) baseline: Option<String>,
    /// How many times faster than the baseline; the median of the rounds' ratios.
    pub(crate) ratio: Option<f64>,
}

/// Sums up the rounds of a suite.
pub(crate) fn rows(suite: Suite, rounds: &[Vec<Measured>]) -> Vec<Row> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let nanoseconds = |case: &str, subject: &str, round: &[Measured]| {
        let found = round.iter().find(|other| other.case == case && other.subject == subject);
        found.map(|measured| measured.nanoseconds)
    };
    let row = |measured: &Measured| {
        let Measured { case, subject, .. } = measured;
        let baseline = baseline(suite, subject, |name| nanoseconds(case, name, first).is_some());
        let times = rounds.iter().filter_map(|round| nanoseconds(case, subject, round));
        let ratios = baseline.as_deref().and_then(|baseline| {
            median(rounds.iter().filter_map(|round| {
                Some(nanoseconds(case, baseline, round)? / nanoseconds(case, subject, round)?)
            }))
        });
        let (value, unit) = in_unit(suite, median(times)?);
        Some(Row {
            suite: suite.name().to_owned(),
            case: case.clone(),
            subject: subject.clone(),
            value,
            unit: unit.to_owned(),
            baseline,
            ratio: ratios,
        })
    };
    first.iter().filter_map(row).collect()
}

/// Returns what a subject is compared with, of those that `measured` says are in the case.
pub(crate) fn baseline(
    suite: Suite,
    subject: &str,
    measured: impl Fn(&str) -> bool,
) -> Option<String> {
    let candidates: &[&str] = match (suite, subject) {
        (Suite::Merge, _) => &["serde_json + json-patch", "MelDB, ordinary input"],
        (Suite::Peers, _) => {
            &["SQLite (WAL, synchronous=NORMAL)", "SQLite (WAL, synchronous=FULL)"]
        }
        (Suite::Postgres, _) => &["SELECT FOR UPDATE, UPDATE"],
        (_, "MelDB on fjall") => &["fjall raw, same committer", "fjall raw"],
        (_, "MelDB on sled") => &["sled raw, same committer", "sled raw"],
        (_, "MelDB on fjall, 16 tenants" | "MelDB in memory") => &["MelDB on fjall"],
        _ => &[],
    };
    candidates.iter().find(|name| measured(name)).map(|name| (*name).to_owned())
}

fn in_unit(suite: Suite, nanoseconds: f64) -> (f64, &'static str) {
    match suite {
        Suite::Merge => (nanoseconds, "ns/op"),
        // Growth does not come this way: its figures have their units.
        Suite::Recovery | Suite::Growth => (nanoseconds, "ns/op"),
        Suite::Store | Suite::Peers | Suite::Postgres | Suite::Http => (1e9 / nanoseconds, "ops/s"),
    }
}

/// Returns the middle one of the values, or what lies between the two middle ones.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[count / 2]),
        count => Some(f64::midpoint(values[count / 2 - 1], values[count / 2])),
    }
}

/// Reads the summary.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    let text = fs::read(file)
        .with_context(|| format!("cannot read {}: run the benchmarks first", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", file.display()))
}

/// Puts the rows of one suite into the summary, in place of those it had, and keeps the others'.
pub(crate) fn replace(file: &Path, suite: Suite, rows: Vec<Row>) -> anyhow::Result<()> {
    let mut all = if file.exists() { read(file)? } else { Vec::new() };
    all.retain(|row| row.suite != suite.name());
    all.extend(rows);
    let rank = |row: &Row| Suite::ALL.iter().position(|suite| suite.name() == row.suite);
    all.sort_by_key(rank);
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let text = serde_json::to_string_pretty(&all)?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn a_subject_is_compared_with_the_nearest_thing_that_was_measured() {
        let measured = |name: &str| name == "fjall raw";
        let found = baseline(Suite::Store, "MelDB on fjall", measured);
        assert_eq!(found.as_deref(), Some("fjall raw"));
        assert_eq!(baseline(Suite::Store, "fjall raw", measured), None);
    }
}
