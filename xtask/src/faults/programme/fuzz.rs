//! The fuzz targets on inputs that are made from those that are kept; `cargo xtask fuzz` runs them under
//! libFuzzer.

use anyhow::ensure;

use super::{
    cargo_test,
    check::{Check, Run, Tally},
};

/// How long each target runs in the short form.
const QUICK_SECONDS: u64 = 20;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "the_targets_of_the_store_hold",
        needs: &[],
        run: |run| vary(run, &["--manifest-path", "fuzz/Cargo.toml", "--test", "corpus"]),
    },
    Check {
        name: "the_targets_of_the_http_adapter_hold",
        needs: &[],
        run: |run| vary(run, &["--workspace", "--test", "corpus"]),
    },
];

/// Runs the test that varies the kept inputs, and counts what it has tried.
fn vary(run: &Run<'_>, arguments: &[&str]) -> anyhow::Result<Tally> {
    let seconds = ("MELDB_FUZZ_SECONDS", run.rounds(QUICK_SECONDS).to_string());
    let said = cargo_test::run(arguments, &[], &[seconds])?;
    let rounds = said.lines().filter_map(inputs).sum();
    ensure!(rounds > 1_000, "only {rounds} inputs were tried: {said}");
    Ok(Tally { rounds, faults: rounds })
}

/// Reads a line such as `merge: 3000 inputs in 20 s`.
fn inputs(line: &str) -> Option<u64> {
    let (_, told) = line.split_once(": ")?;
    told.split_once(" inputs in ")?.0.parse().ok()
}
