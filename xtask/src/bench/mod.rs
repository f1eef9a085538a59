//! `cargo xtask bench`: runs the suites, sums them up and writes the documentation from that.

mod docs;
mod growth;
mod measured;
mod plot;
pub(crate) mod summary;

use std::{env, ffi::OsString, fs, path::Path, process};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use self::measured::Measured;
use crate::{http_load, workspace};

/// What to run, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// The suite to run; if it is not given, all but growth, which takes minutes, postgres, which
    /// needs the package of that name, and http, which needs wrk and Python
    #[arg(long)]
    suite: Option<Suite>,
    /// End within 40 seconds a suite, not counting the build
    #[arg(long)]
    quick: bool,
    /// How often each suite is run; the median counts [default: 3, or 1 if quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Write docs/benchmarks.md and its plots from the summary
    #[arg(long)]
    write_docs: bool,
    /// Run nothing: only write the documentation, from the summary of an earlier run
    #[arg(long, requires = "write_docs")]
    no_run: bool,
}

/// A suite of benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    Merge,
    Store,
    Recovery,
    Growth,
    Peers,
    Postgres,
    Http,
}

impl Suite {
    /// Every suite, in the order of the page.
    const ALL: [Self; 7] = [
        Self::Merge,
        Self::Store,
        Self::Recovery,
        Self::Growth,
        Self::Peers,
        Self::Postgres,
        Self::Http,
    ];
    /// Those that need nothing but this workspace and some minutes, and are run when none is named.
    const BUILT: [Self; 4] = [Self::Merge, Self::Store, Self::Recovery, Self::Peers];

    fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Store => "store",
            Self::Recovery => "recovery",
            Self::Growth => "growth",
            Self::Peers => "peers",
            Self::Postgres => "postgres",
            Self::Http => "http",
        }
    }
}

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

/// Returns the command that builds and runs suites of the benchmark package.
fn bench_command(options: &Options, suites: &[Suite]) -> process::Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = process::Command::new(cargo);
    command.current_dir(workspace()).args(["bench", "--package", "meldb-bench"]);
    command.args(["--features", "peers"]);
    for suite in suites {
        command.args(["--bench", suite.name()]);
    }
    if options.quick {
        command.env("MELDB_BENCH_QUICK", "1");
    }
    command
}

#[allow(clippy::print_stdout, reason = "printing the result is what the command is for")]
fn print<'a>(rows: impl Iterator<Item = &'a summary::Row>) {
    for row in rows {
        let ratio = match (&row.baseline, row.ratio) {
            (Some(baseline), Some(ratio)) => format!("{ratio:.2} x {baseline}"),
            _ => String::new(),
        };
        let value = docs::figure(row.value);
        println!("{:<42} {:<44} {value:>9} {:<5} {ratio}", row.case, row.subject, row.unit);
    }
}
