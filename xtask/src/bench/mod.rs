//! `cargo xtask bench`: runs the suites, sums them up and writes the documentation from that.

mod command;
mod docs;
mod figure;
mod growth;
mod measured;
mod plot;
mod suite;
pub(crate) mod summary;

use std::{ffi::OsString, fs, path::Path};

use anyhow::{Context, ensure};

pub(crate) use self::command::Options;
use self::{command::bench_command, figure::figure, measured::Measured, suite::Suite};
use crate::{http_load, workspace::workspace};

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let suites = match &options.suite {
        Some(suite @ (Suite::Http | Suite::Growth)) => return run_alone(options, *suite),
        Some(suite) => std::slice::from_ref(suite),
        None => &Suite::BUILT[..],
    };
    let dir = workspace().join("target").join("bench");
    let file = dir.join("summary.json");
    if !options.no_run {
        cargo_bench(options, suites, &["--no-run".into()], None)?;
        for suite in suites {
            let rows = summary::rows(*suite, &run_rounds(options, *suite, &dir)?);
            summary::replace(&file, *suite, rows)?;
        }
        let rows = summary::read(&file)?;
        print(rows.iter().filter(|row| suites.iter().any(|suite| suite.name() == row.suite)));
    }
    if options.write_docs {
        docs::write(&summary::read(&file)?)?;
    }
    Ok(())
}

/// Runs a suite that is no benchmark of criterion's: programs loaded from outside, or stores that
/// are too large to be made for each sample.
fn run_alone(options: &Options, suite: Suite) -> anyhow::Result<()> {
    let dir = workspace().join("target").join("bench");
    let file = dir.join("summary.json");
    if !options.no_run {
        let rows = match suite {
            Suite::Growth => growth::run(options)?,
            _ => http_load::run(&dir, options.quick, rounds(options)?)?,
        };
        print(rows.iter());
        summary::replace(&file, suite, rows)?;
    }
    if options.write_docs {
        docs::write(&summary::read(&file)?)?;
    }
    Ok(())
}

/// Runs a suite as often as asked and returns what each round measured.
///
/// Within a round the subjects of a case are measured one right after the other; the rounds keep a
/// bad moment of the machine from deciding between them.
fn run_rounds(options: &Options, suite: Suite, dir: &Path) -> anyhow::Result<Vec<Vec<Measured>>> {
    (0..rounds(options)?)
        .map(|round| {
            let home = dir.join("criterion").join(suite.name()).join(round.to_string());
            if home.exists() {
                fs::remove_dir_all(&home).context("cannot remove the results of an earlier run")?;
            }
            cargo_bench(options, &[suite], &[], Some(&home))?;
            measured::read(&home)
        })
        .collect()
}

fn rounds(options: &Options) -> anyhow::Result<usize> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
    ensure!(rounds > 0, "at least one round is needed");
    Ok(rounds)
}

fn cargo_bench(
    options: &Options,
    suites: &[Suite],
    arguments: &[OsString],
    criterion_home: Option<&Path>,
) -> anyhow::Result<()> {
    let mut command = bench_command(options, suites);
    command.args(arguments);
    if let Some(home) = criterion_home {
        command.env("CRITERION_HOME", home);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "the benchmarks failed");
    Ok(())
}

#[allow(clippy::print_stdout, reason = "printing the result is what the command is for")]
fn print<'a>(rows: impl Iterator<Item = &'a summary::Row>) {
    for row in rows {
        let ratio = match (&row.baseline, row.ratio) {
            (Some(baseline), Some(ratio)) => format!("{ratio:.2} x {baseline}"),
            _ => String::new(),
        };
        let value = figure(row.value);
        println!("{:<42} {:<44} {value:>9} {:<5} {ratio}", row.case, row.subject, row.unit);
    }
}
