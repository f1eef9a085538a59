//! `cargo xtask faults`: the fault programme, part by part, with one table at the end.
//!
//! What needs root, mounts, another program or minutes is a check here and no test. Each part has
//! checks that nothing is lost, and controls: a store or a disk that lies, which has to be found out.

mod abuse;
mod cargo_test;
mod check;
mod fleets;
mod full_disk;
mod fuzz;
mod histories;
mod io_faults;
mod kills;
mod part;
mod power_cuts;
mod report;
mod reporter;
mod rot;
mod runner;
mod soak;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use anyhow::bail;
use clap::{Args, ValueEnum};
use meldb_testkit::need::Need;

use self::{
    check::{Check, Verdict},
    part::Part,
    report::Report,
    runner::Runner,
};

/// The exit code of a process that Ctrl-C has ended.
const EXIT_INTERRUPTED: i32 = 130;

/// The arguments of `cargo xtask faults`.
#[derive(Args)]
pub struct Options {
    /// Run each part in its short form: some ten minutes on two cores. The long one takes hours
    #[arg(long)]
    quick: bool,

    /// Make this many times as many rounds as the short form has
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "quick",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    factor: u64,

    /// Run this part only; may be repeated [default: all]
    #[arg(long = "part", value_enum, value_name = "PART")]
    parts: Vec<Part>,

    /// Run only checks whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Succeed although something could not run on this machine
    #[arg(long)]
    allow_missing: bool,

    /// Print the result as one JSON document on standard output
    #[arg(long)]
    json: bool,

    /// Say what would be run and what is missing for it, and end
    #[arg(long)]
    list: bool,
}

/// Runs the programme and prints its table; a failure is an error, and so is a check that could not run.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let selected = select(options)?;
    let missing = missing(&selected);
    for (need, checks) in &missing {
        eprintln!("missing for {checks} checks: {need}; {}", need.how_to_get());
    }
    if options.list {
        for (part, check) in &selected {
            println!("{}: {}", part.name(), check.name);
        }
        return Ok(());
    }
    let interrupted = super::interrupted()?;
    let factor = if options.quick { 1 } else { options.factor };
    let runner = Runner::new(factor, Arc::clone(&interrupted));
    let mut report = Report::new(factor);
    for (number, (part, check)) in selected.iter().enumerate() {
        let place = format!("[{}/{}] {}", number + 1, selected.len(), part.name());
        report.add(*part, check.name, runner.run(check, &place));
    }
    match options.json {
        true => println!("{}", report.to_json(&missing)),
        false => print!("{}", report.to_table()),
    }
    if interrupted.load(Ordering::Relaxed) {
        eprintln!("interrupted; no mount and no loop device was left");
        std::process::exit(EXIT_INTERRUPTED);
    }
    judge(&report, options.allow_missing)
}

/// Returns the checks that were asked for.
fn select(options: &Options) -> anyhow::Result<Vec<(Part, &'static Check)>> {
    let mut selected = Vec::new();
    for part in Part::value_variants() {
        if !options.parts.is_empty() && !options.parts.contains(part) {
            continue;
        }
        let is_asked_for =
            |check: &&Check| options.only.as_ref().is_none_or(|text| check.name.contains(text));
        selected.extend(part.checks().iter().filter(is_asked_for).map(|check| (*part, check)));
    }
    if selected.is_empty() {
        bail!("no check of these parts has {:?} in its name; --list prints them", options.only);
    }
    Ok(selected)
}

/// Returns what this machine lacks, and how many of the checks need it.
fn missing(selected: &[(Part, &'static Check)]) -> BTreeMap<Need, usize> {
    let mut missing = BTreeMap::new();
    let needs = selected.iter().flat_map(|(_, check)| check.missing());
    needs.for_each(|need| *missing.entry(need).or_default() += 1);
    missing
}

/// Returns an error if the report has what must not be.
fn judge(report: &Report, allow_missing: bool) -> anyhow::Result<()> {
    let (failed, missing) = (report.names(Verdict::is_failure), report.names(Verdict::is_missing));
    if !failed.is_empty() {
        bail!("{} checks failed: {}", failed.len(), failed.join(", "));
    }
    if !missing.is_empty() && !allow_missing {
        bail!(
            "{} checks could not run here: {}; install what is missing, or pass --allow-missing",
            missing.len(),
            missing.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
