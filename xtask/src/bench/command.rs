//! What to run, and the command that runs it.

use std::{env, process};

use clap::Args;

use super::suite::Suite;
use crate::workspace::workspace;

/// What to run, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// The suite to run; if it is not given, all but growth, which takes minutes, postgres, which
    /// needs the package of that name, and http, which needs wrk and Python
    #[arg(long)]
    pub(super) suite: Option<Suite>,
    /// End within 40 seconds a suite, not counting the build
    #[arg(long)]
    pub(super) quick: bool,
    /// How often each suite is run; the median counts [default: 3, or 1 if quick]
    #[arg(long)]
    pub(super) rounds: Option<usize>,
    /// Write docs/benchmarks.md and its plots from the summary
    #[arg(long)]
    pub(super) write_docs: bool,
    /// Run nothing: only write the documentation, from the summary of an earlier run
    #[arg(long, requires = "write_docs")]
    pub(super) no_run: bool,
}

/// Returns the command that builds and runs suites of the benchmark package.
pub(super) fn bench_command(options: &Options, suites: &[Suite]) -> process::Command {
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
