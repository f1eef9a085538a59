//! Arguments that several commands have in common.

use clap::Args;
use meldb::{Condition, Revision};

/// The arguments of every write of one document.
#[derive(Args, Debug)]
pub(super) struct CommonWriteArgs {
    /// Write only if the document is at this revision; `meldb get --json` shows it
    #[arg(long, value_name = "REVISION")]
    pub(super) if_revision: Option<u64>,

    /// Write nothing, and print the result that the write would have
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Print what has changed, as JSON Patches forward and backward, in place of the document
    #[arg(long)]
    pub(super) diff: bool,

    /// Make the write once, however often it is sent with this key: a repetition is given the first
    /// answer, for 24 hours
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,

    /// Who is stamped as updatedBy; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    pub(super) actor: Option<String>,

    /// Do not print the document as written
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl CommonWriteArgs {
    /// Returns what must hold of the document.
    pub(super) fn condition(&self) -> Condition {
        self.if_revision
            .map_or(Condition::Any, |revision| Condition::Matches(Revision::new(revision)))
    }
}
