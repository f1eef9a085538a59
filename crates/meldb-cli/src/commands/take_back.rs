//! `meldb undo`, `revert` and `undo-by`: taking writes back.

use clap::Args;
use meldb::TenantId;
use meldb_http::{Moment, UndoneField};

use super::common::CommonWriteArgs;
use crate::{
    address::VersionAddress,
    backend::history::{TakeBack, UndoByRequest},
    directory::Missing,
    failure::{Code, Failure, Result},
    output::Output,
    target::TargetArgs,
    units,
};

/// The arguments of `meldb undo` and `meldb revert`.
#[derive(Args, Debug)]
pub(crate) struct TakeBackArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document and the revision: TENANT/COLLECTION/ID@REVISION
    #[arg(value_name = "DOCUMENT@REVISION")]
    place: VersionAddress,

    #[command(flatten)]
    common: CommonWriteArgs,
}

/// The end of the help of `meldb undo`.
pub(crate) const UNDO_HELP: &str = "\
Restores the fields that the write at the revision changed to their values before it, and keeps the changes of
later writes. Refused if later writes changed the same fields: `meldb log --diff` shows them.

Examples:
  meldb undo acme/users/ada@12
  meldb undo acme/users/ada@12 --dry-run --diff     see what it would change
  meldb undo acme/bots/hal/versions/current@12      only what it changed there";

/// The end of the help of `meldb revert`.
pub(crate) const REVERT_HELP: &str = "\
Restores the version after the write at the revision, in a new write: nothing is lost from the history. If the
document did not exist then, it is deleted.

Examples:
  meldb revert acme/users/ada@12
  meldb revert acme/users/ada@12 --dry-run --diff   see what it would change";

/// The arguments of `meldb undo-by`.
#[derive(Args, Debug)]
#[command(after_help = "\
The batch is atomic. Fields that others have changed since are left as they are, and listed.

Examples:
  meldb undo-by importer acme --since 2h --dry-run      list the writes of the last two hours
  meldb undo-by importer acme --since 2026-01-31T12:00:00Z
  meldb undo-by importer acme --since 42 --json | jq '.left[].path'")]
pub(crate) struct UndoByArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Whose writes: updatedBy of them
    #[arg(value_name = "ACTOR")]
    undone: String,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Only writes from this time on, or so long ago, such as 2h or 2026-01-31T12:00:00Z; or after this revision
    #[arg(long, value_name = "TIME", value_parser = units::since)]
    since: Moment,

    /// Write nothing, and print what would be taken back
    #[arg(long)]
    dry_run: bool,

    /// Who is stamped as updatedBy; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// Takes back one write.
pub(crate) async fn undo(args: TakeBackArgs, output: Output) -> Result<()> {
    make(args, false, output).await
}

/// Restores an earlier version.
pub(crate) async fn revert(args: TakeBackArgs, output: Output) -> Result<()> {
    make(args, true, output).await
}

async fn make(args: TakeBackArgs, reverts: bool, output: Output) -> Result<()> {
    let VersionAddress { address, moment } = args.place;
    let Moment::Revision(revision) = moment else {
        return Err(Failure::usage("what is taken back is named by a revision, and not by a time")
            .hint(format!("`meldb log {address}` lists the revisions")));
    };
    let request = TakeBack {
        address,
        revision: revision.get(),
        reverts,
        condition: args.common.condition(),
        dry_run: args.common.dry_run,
        diff: args.common.diff,
        quiet: args.common.quiet,
        idempotency_key: args.common.idempotency_key,
        actor: args.target.actor(args.common.actor.as_deref())?,
    };
    let backend = args.target.open(Missing::Fail).await?;
    let outcome = backend.take_back(&request).await.map_err(|failure| match failure.code {
        Code::NotFound => {
            failure.hint(format!("`meldb log {}` lists its versions", request.address))
        }
        _ => failure,
    })?;
    super::printed::print_outcome(&request.address.to_string(), &outcome, request.dry_run, output)
}

/// Takes back what an actor has written.
pub(crate) async fn undo_by(args: UndoByArgs, output: Output) -> Result<()> {
    let UndoByArgs { target, undone, tenant, since, dry_run, actor } = args;
    let actor = target.actor(actor.as_deref())?;
    let backend = target.open(Missing::Fail).await?;
    let request = UndoByRequest { tenant, undone, since, dry_run, actor };
    let done = backend.undo_by(&request).await?;
    if output.json {
        return output.line(serde_json::to_string(&done).unwrap_or_default());
    }
    let tenant = &request.tenant;
    let line = |word: &str, told: &UndoneField| {
        let (path, field) = (&told.path, &told.field);
        let path = if path.is_empty() { tenant.to_string() } else { format!("{tenant}/{path}") };
        let field = if field.is_empty() { "the whole document" } else { field };
        output.line(format!("{word}  {path}@{}  {field}", told.revision))
    };
    done.undone.iter().try_for_each(|told| line("undone", told))?;
    done.left.iter().try_for_each(|told| line("left  ", told))?;
    let documents = done.writes.len();
    output.remark(&match dry_run {
        true => format!("{documents} documents would be written; nothing was"),
        false => format!("{documents} documents were written"),
    });
    Ok(())
}
