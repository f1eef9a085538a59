//! `cargo xtask bench --suite http`: the server under load, beside a bare axum handler and
//! PocketBase doing the same work.
//!
//! It needs `wrk` (`apt-get install wrk`) and Python, by which PocketBase is installed once below
//! `target/tools`. The bare handler logs nothing, so MelDB's line for each request is off as well.
//!
//! 64 connections are kept busy by `wrk`. What counts is the time of the processor that a request
//! costs the server's process, because client and server share the machine.

mod subject;
mod wrk;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};

use self::{
    subject::{Case, Subject},
    wrk::Load,
};
use crate::bench::summary::Row;

pub(crate) const SUITE: &str = "http";
/// What a figure of processor time is compared with.
const FLOOR: &str = subject::BARE_AXUM;
/// What a figure of requests per second is compared with.
const PEER: &str = subject::POCKETBASE;

/// What one run of `wrk` against one subject came to.
#[derive(Clone, Copy, Debug)]
struct Measured {
    requests_per_second: f64,
    cpu_us_per_request: f64,
    p99_ms: f64,
}

/// Runs the suite and returns its rows; `dir` is for what it leaves.
pub(crate) fn run(dir: &Path, quick: bool, rounds: usize) -> anyhow::Result<Vec<Row>> {
    wrk::check()?;
    let home = dir.join(SUITE);
    if home.exists() {
        fs::remove_dir_all(&home).context("cannot remove what an earlier run left")?;
    }
    fs::create_dir_all(&home)?;
    let subjects = subject::start_all(&home)?;
    let load = if quick { Load::quick() } else { Load::full() };
    let mut measured: BTreeMap<(Case, usize), Vec<Measured>> = BTreeMap::new();
    // Round by round, so that a bad moment of the machine does not decide between two subjects.
    for round in 0..rounds {
        for case in Case::ALL {
            for (index, subject) in subjects.iter().enumerate().filter(|(_, s)| s.answers(case)) {
                let once = measure(subject, case, load)
                    .with_context(|| format!("{}, {}", subject.name(), case.name()))?;
                tell(round, case, subject, once);
                measured.entry((case, index)).or_default().push(once);
            }
        }
    }
    subjects.iter().try_for_each(Subject::check_alive)?;
    Ok(rows(&subjects, &measured))
}

fn measure(subject: &Subject, case: Case, load: Load) -> anyhow::Result<Measured> {
    let script = subject.script(case)?;
    wrk::run(&script, subject.url(), load.warm_up)?;
    let cpu_before = subject.cpu_seconds()?;
    let outcome = wrk::run(&script, subject.url(), load.measured)?;
    let cpu_seconds = subject.cpu_seconds()? - cpu_before;
    ensure!(outcome.errors == 0, "{} of {} requests failed", outcome.errors, outcome.requests);
    ensure!(outcome.requests > 0, "no request was answered");
    Ok(Measured {
        requests_per_second: outcome.requests as f64 / outcome.seconds,
        cpu_us_per_request: cpu_seconds * 1e6 / outcome.requests as f64,
        p99_ms: outcome.p99_ms,
    })
}

/// Sums up the rounds: medians of the figures, and of the ratios within each round.
fn rows(subjects: &[Subject], measured: &BTreeMap<(Case, usize), Vec<Measured>>) -> Vec<Row> {
    let position = |name: &str| subjects.iter().position(|subject| subject.name() == name);
    let mut rows = Vec::new();
    for ((case, index), rounds) in measured {
        let mut row =
            |what: &str, unit: &str, baseline: &str, figure: fn(&Measured) -> f64, invert| {
                let base = position(baseline).filter(|base| base != index);
                let base = base.and_then(|base| measured.get(&(*case, base)));
                let ratios = base.map(|base| {
                    let ratios =
                        rounds.iter().zip(base).map(|(own, base)| figure(own) / figure(base));
                    median(ratios.map(|ratio| if invert { 1.0 / ratio } else { ratio }))
                });
                rows.push(Row {
                    suite: SUITE.to_owned(),
                    case: format!("{}: {what}", case.name()),
                    subject: subjects[*index].name().to_owned(),
                    value: median(rounds.iter().map(figure)),
                    unit: unit.to_owned(),
                    baseline: ratios.map(|_| baseline.to_owned()),
                    ratio: ratios,
                });
            };
        row("rate", "req/s", PEER, |one| one.requests_per_second, false);
        row("processor time", "µs/req", FLOOR, |one| one.cpu_us_per_request, true);
        row("p99", "ms", FLOOR, |one| one.p99_ms, true);
    }
    rows.sort_by(|a, b| a.case.cmp(&b.case));
    rows
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

#[allow(clippy::print_stderr, reason = "telling how far it has come is what the command is for")]
fn tell(round: usize, case: Case, subject: &Subject, once: Measured) {
    eprintln!(
        "round {}: {:<16} {:<34} {:>8.0} req/s {:>7.1} µs of processor time {:>8.2} ms p99",
        round + 1,
        case.name(),
        subject.name(),
        once.requests_per_second,
        once.cpu_us_per_request,
        once.p99_ms,
    );
}
