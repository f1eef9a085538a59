//! `meldb batch`: many writes of one tenant, together or not at all.

use bytes::Bytes;
use clap::Args;
use meldb::TenantId;

use crate::{
    backend::BatchRequest, body, directory::Missing, failure::Result, json_text, output::Output,
    target::TargetArgs,
};

/// The arguments of `meldb batch`.
#[derive(Args, Debug)]
#[command(after_help = "\
All operations are made, or none. The file holds one operation a line, or one object with the
array `operations`. An operation has `op` (put, insert, merge, patch, delete), `path`, and `data`
unless it is a delete; `ifRevision` or `ifUnchangedSince` if it has a condition, `expireAt` if its document
is to be gone by itself; a merge may have `nulls` and `depth`, and what may be there already `skipUnchanged`.

Examples:
  meldb batch acme moves.ndjson
  meldb batch acme - --dry-run <<'END'
  {\"op\":\"merge\",\"path\":\"accounts/ada\",\"data\":{\"balance\":40},\"ifRevision\":7}
  {\"op\":\"merge\",\"path\":\"accounts/bob\",\"data\":{\"balance\":35}}
  END")]
pub(crate) struct BatchArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// The operations: a file, or - for standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// Write nothing, and print what would come of it
    #[arg(long)]
    dry_run: bool,

    /// Make the batch once, however often it is sent with this key: a repetition is given the first
    /// answer, for 24 hours
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// Who is stamped as updatedBy; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,

    /// Do not print the documents as written
    #[arg(long, short)]
    quiet: bool,
}

/// Makes a batch and prints what each operation came to.
pub(crate) async fn run(args: BatchArgs, output: Output) -> Result<()> {
    let text = match args.file.as_str() {
        "-" => body::read("-")?,
        file => body::read(&format!("@{file}"))?,
    };
    let request = BatchRequest {
        actor: args.target.actor(args.actor.as_deref())?,
        tenant: args.tenant,
        dry_run: args.dry_run,
        quiet: args.quiet,
        idempotency_key: args.idempotency_key,
    };
    let backend = args.target.open(Missing::Create).await?;
    let answer = backend.batch(&request, Bytes::from(text)).await?;
    if output.json {
        return output.line(json_text::one_line(&answer));
    }
    output.document(&answer)?;
    output.remark(if request.dry_run { "nothing was written" } else { "all of it was written" });
    Ok(())
}
