//! `meldb verify` and `meldb repair`: what a store holds is checked, or saved.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use meldb::{Error, Verified};
use serde_json::json;

use crate::{
    directory,
    failure::{Failure, Result},
    output::{Output, warn},
    target::{DEFAULT_DIR, StoreArgs},
};

/// The arguments of `meldb verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Every record is read: its checksum, its text, its place among the tenant's changes, and at the end
what each tenant says that it holds. Problems go to standard error, a line each; the exit code is 0
when there is none and 1 otherwise. No other process may have a directory open; a database may be in
use.

Examples:
  meldb verify --dir meldb-data
  meldb verify --dir meldb-data --json | jq .documents
  meldb verify --store postgres://meldb@db.example/meldb")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
}

/// The arguments of `meldb repair`.
#[derive(Args, Debug)]
#[command(after_help = "\
Documents are saved as they are, revisions and stamps included; what is lost goes to standard error,
a line each. The exit code is 0 when nothing is lost and 1 otherwise. The damaged store stays as it
is. Where its log is damaged, what was written before and after the damage is saved; where its tables
cannot be opened, what the log holds, which is what was written last.

Examples:
  meldb repair --dir meldb-data --into meldb-saved && meldb verify --dir meldb-saved")]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    store: DirArgs,

    /// Save into a new store in this directory, which must be missing or empty
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

#[derive(Args, Debug)]
struct DirArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR", env = "MELDB_DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

impl DirArgs {
    fn dir(&self) -> Result<&Path> {
        match directory::is_store(&self.dir)? {
            true => Ok(&self.dir),
            false => Err(directory::no_store(&self.dir)),
        }
    }
}

/// How often the progress is shown, in records.
const PROGRESS_RECORDS: u64 = 1024;

/// Checks everything that a store holds.
pub(crate) fn verify(args: &VerifyArgs, output: Output) -> Result<ExitCode> {
    let started = Instant::now();
    let store = args.store.open_here()?;
    let bar = output.spinner("{spinner} {msg}  {per_sec} records");
    let mut verification = store.verify();
    let mut records = 0_u64;
    while let Some(record) = verification.next() {
        if let Err(problem) = record {
            tell(problem, &bar, output);
        }
        records += 1;
        if records.is_multiple_of(PROGRESS_RECORDS) {
            let verified = verification.verified();
            show(&bar, records, verified.documents, verified.bytes);
        }
    }
    bar.finish_and_clear();
    let verified = verification.verified();
    output.line(match output.json {
        true => verified_json(&verified, started.elapsed()),
        false => verified_text(&verified, started.elapsed()),
    })?;
    Ok(exit_code(verified.problems))
}

/// Saves what is sound of a store.
pub(crate) fn repair(args: &RepairArgs, output: Output) -> Result<ExitCode> {
    let started = Instant::now();
    let bar = output.spinner("{spinner} {msg}  {per_sec} records");
    let mut records = 0_u64;
    let saved = meldb::repair(
        args.store.dir()?,
        &args.into,
        |lost| tell(lost, &bar, output),
        |saved| {
            records += 1;
            if records.is_multiple_of(PROGRESS_RECORDS) {
                show(&bar, records, saved.documents, saved.bytes);
            }
        },
    );
    bar.finish_and_clear();
    let saved = saved?;
    let seconds = rounded(started.elapsed());
    output.line(match output.json {
        true => json!({
            "tenants": saved.tenants, "documents": saved.documents, "bytes": saved.bytes,
            "deleted": saved.tombstones, "lost": saved.lost, "seconds": seconds,
        })
        .to_string(),
        false => format!(
            "saved {} documents of {} tenants ({}) into {} in {seconds:.2} s; {}",
            HumanCount(saved.documents),
            HumanCount(saved.tenants),
            HumanBytes(saved.bytes),
            args.into.display(),
            match saved.lost {
                0 => "nothing was lost".to_owned(),
                lost => format!("{} could not be saved", HumanCount(lost)),
            },
        ),
    })?;
    Ok(exit_code(saved.lost))
}

fn exit_code(problems: u64) -> ExitCode {
    if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verified_json(verified: &Verified, took: Duration) -> String {
    json!({
        "tenants": verified.tenants, "documents": verified.documents, "bytes": verified.bytes,
        "deleted": verified.tombstones, "changes": verified.changes,
        "indexes": verified.indexes, "problems": verified.problems, "seconds": rounded(took),
    })
    .to_string()
}

fn verified_text(verified: &Verified, took: Duration) -> String {
    format!(
        "{}: {} documents of {} tenants ({}), {} deleted, in {:.2} s",
        match verified.problems {
            0 => "sound".to_owned(),
            1 => "1 problem".to_owned(),
            problems => format!("{} problems", HumanCount(problems)),
        },
        HumanCount(verified.documents),
        HumanCount(verified.tenants),
        HumanBytes(verified.bytes),
        HumanCount(verified.tombstones),
        rounded(took),
    )
}

fn rounded(took: Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Reports what does not hold, without disturbing the progress.
fn tell(problem: Error, bar: &ProgressBar, output: Output) {
    // Of one document; what to do about it is said once, by this command.
    let failure = Failure { hint: None, ..Failure::from(problem) };
    let line = match output.json {
        true => failure.to_json(),
        false => failure.to_string(),
    };
    bar.suspend(|| warn(&line));
}

fn show(bar: &ProgressBar, records: u64, documents: u64, bytes: u64) {
    if !bar.is_hidden() {
        bar.set_position(records);
        bar.set_message(format!("{} documents, {}", HumanCount(documents), HumanBytes(bytes)));
    }
}
