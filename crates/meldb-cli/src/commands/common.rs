//! What several commands have in common: arguments, and asking whether something is meant.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use meldb::{Condition, Revision};

use crate::{
    failure::{Failure, Result},
    output::warn,
};

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

/// Asks a person at the terminal whether all that has a name is meant; `what` says what is done to it.
pub(super) fn confirm(what: &str, name: &str) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(what).hint("add --yes if that is meant"));
    }
    warn(&format!("{what}; type its name to go on"));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::io("read the answer", &error))?;
    match line.trim() == name {
        true => Ok(()),
        false => Err(Failure::usage("that is another name; nothing was removed")),
    }
}
