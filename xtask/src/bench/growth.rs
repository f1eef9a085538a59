//! The suite `growth`, whose program prints its figures itself.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    command::{Options, bench_command},
    suite::Suite,
    summary::{self, Row, median},
};

/// The unit of a figure that is no time.
const SPACE: &str = "× live bytes";

/// One figure of one round, as the program prints it.
#[derive(Clone, Debug, Deserialize)]
struct Figure {
    case: String,
    subject: String,
    value: f64,
    unit: String,
}

/// Runs the suite, once if it is not asked for more: it takes minutes, and measures thousands of
/// operations for each figure.
pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let rounds = options.rounds.unwrap_or(1);
    ensure!(rounds > 0, "at least one round is needed");
    let rounds = (0..rounds).map(|_| round(options)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(rows(&rounds))
}

fn round(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let mut command = bench_command(options, &[Suite::Growth]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let output = output.context("cannot run cargo")?;
    ensure!(output.status.success(), "the benchmarks failed");
    parse(&String::from_utf8(output.stdout).context("the suite growth prints no text")?)
}

fn parse(text: &str) -> anyhow::Result<Vec<Figure>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("no figure: {line}")))
        .collect()
}

/// Sums up the rounds: medians of the figures, and of the ratios of times within each round.
fn rows(rounds: &[Vec<Figure>]) -> Vec<Row> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let value = |case: &str, subject: &str, round: &[Figure]| {
        let found = round.iter().find(|other| other.case == case && other.subject == subject);
        found.map(|figure| figure.value)
    };
    let row = |figure: &Figure| {
        let Figure { case, subject, unit, .. } = figure;
        let measured = |name: &str| unit != SPACE && value(case, name, first).is_some();
        let baseline = summary::baseline(Suite::Growth, subject, measured);
        let ratio = baseline.as_deref().and_then(|baseline| {
            median(rounds.iter().filter_map(|round| {
                Some(value(case, baseline, round)? / value(case, subject, round)?)
            }))
        });
        Some(Row {
            suite: Suite::Growth.name().to_owned(),
            case: case.clone(),
            subject: subject.clone(),
            value: median(rounds.iter().filter_map(|round| value(case, subject, round)))?,
            unit: unit.clone(),
            baseline,
            ratio,
        })
    };
    first.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"
        {"case":"merge, 10 documents","subject":"MelDB on fjall","value":4,"unit":"µs/op"}
        {"case":"merge, 10 documents","subject":"fjall raw","value":2,"unit":"µs/op"}
        {"case":"10 documents, compacted","subject":"MelDB on fjall","value":1.5,"unit":"× live bytes"}
        {"case":"10 documents, compacted","subject":"fjall raw","value":1,"unit":"× live bytes"}"#;

    fn round(factor: f64) -> Vec<Figure> {
        let text = PRINTED.replace("\n        ", "\n");
        let mut figures = parse(&text).expect("all lines are figures");
        assert_eq!(figures.len(), 4);
        figures.iter_mut().for_each(|figure| figure.value *= factor);
        figures
    }

    #[test]
    fn a_figure_is_the_median_of_its_rounds_and_only_times_are_compared() {
        let rows = rows(&[round(1.0), round(3.0), round(2.0)]);
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [8.0, 4.0, 3.0, 2.0]);
        assert_eq!(rows[0].baseline.as_deref(), Some("fjall raw"));
        assert_eq!(rows[0].ratio, Some(0.5));
        assert!(rows[1..].iter().all(|row| row.baseline.is_none() && row.ratio.is_none()));
    }

    #[test]
    fn a_line_that_is_no_figure_is_an_error() {
        assert!(parse(r#"{"case":"merge"}"#).is_err());
    }
}
