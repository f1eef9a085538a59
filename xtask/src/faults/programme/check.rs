//! A check of the programme, and what came of it.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use meldb_testkit::need::Need;
use tempfile::TempDir;

use super::reporter::Reporter;

/// A check.
pub(super) struct Check {
    /// What holds if it passes.
    pub(super) name: &'static str,
    /// What it cannot run without.
    pub(super) needs: &'static [Need],
    /// Runs it; an error says what does not hold.
    pub(super) run: fn(&Run<'_>) -> anyhow::Result<Tally>,
}

impl Check {
    /// Returns what this machine lacks for it.
    pub(super) fn missing(&self) -> impl Iterator<Item = Need> {
        self.needs.iter().copied().filter(|need| !need.is_met())
    }
}

/// How much a check has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Rounds, runs, histories or inputs.
    pub(super) rounds: u64,
    /// Cuts, kills, failed calls or damaged files.
    pub(super) faults: u64,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed(Tally),
    Failed(String),
    /// It could not run: why, and what to do.
    Missing(String),
    /// Ctrl-C came before its end.
    Interrupted,
}

impl Verdict {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Passed(tally) => *tally,
            Self::Failed(_) | Self::Missing(_) | Self::Interrupted => Tally::default(),
        }
    }
}

/// A check and how long it took.
pub(super) struct Done {
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

/// The error of a check that cannot run on this machine although it has what the check needs.
#[derive(Debug)]
pub(super) struct Unavailable(pub(super) String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// What a check is given to run with.
pub(super) struct Run<'a> {
    factor: u64,
    pub(super) reporter: &'a Reporter,
    scratch: TempDir,
}

impl<'a> Run<'a> {
    pub(super) fn new(factor: u64, reporter: &'a Reporter) -> anyhow::Result<Self> {
        Ok(Self { factor, reporter, scratch: super::super::scratch(None)? })
    }

    /// Returns an empty directory for the check, in memory where that is possible.
    pub(super) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns where a store may be made.
    pub(super) fn store(&self) -> PathBuf {
        self.dir().join("store")
    }

    /// Returns how many rounds to make where the short form has this many.
    pub(super) fn rounds(&self, quick: u64) -> u64 {
        quick * self.factor
    }

    /// Returns whether this is the short form.
    pub(super) fn is_quick(&self) -> bool {
        self.factor == 1
    }

    /// Says how far the check has come, now and then; breaks if Ctrl-C was pressed.
    pub(super) fn tell(&self, done: u64, of: u64) -> ControlFlow<()> {
        self.reporter.tell(done, of)
    }
}
