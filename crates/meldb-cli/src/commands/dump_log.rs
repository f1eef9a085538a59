//! `meldb dump-log`: the records of a store's log, as JSON.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use meldb::Error;

use crate::{
    directory,
    failure::{Failure, Result},
    output::{Output, warn},
    target::DEFAULT_DIR,
};

/// The arguments of `meldb dump-log`.
#[derive(Args, Debug)]
#[command(after_help = "\
One line of JSON for each record, oldest first: where it is (file, offset, bytes), its sequence number,
up to which record the log was on stable storage when it was written (synced), and for each tenant what
was written: document, kind, revision, the revision that it was made from (base), time and actor, and
the text, or the edits that a merge made of the base's text (keep and replace so many bytes).

The log holds what was written last. Texts are in it as they were sent: treat the output like a backup.
Places where records are missing go to standard error; the exit code is 0 when there is none and 1
otherwise. Nothing is changed, and no other process may have the store open.

Examples:
  meldb dump-log --dir meldb-data | tail -1 | jq
  meldb dump-log --dir meldb-data | jq -c '.tenants[].writes[]? | {document, kind, revision, updatedBy}'")]
pub(crate) struct DumpLogArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR", env = "MELDB_DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

/// Prints the records of a store's log.
pub(crate) fn run(args: &DumpLogArgs, output: Output) -> Result<ExitCode> {
    if !directory::is_store(&args.dir)? {
        return Err(directory::no_store(&args.dir));
    }
    let mut code = ExitCode::SUCCESS;
    for record in meldb::dump_log(&args.dir)? {
        match record {
            Ok(record) => output.line(record)?,
            Err(error @ Error::Damaged { .. }) => {
                let failure = Failure::from(error);
                warn(&if output.json { failure.to_json() } else { failure.to_string() });
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}
