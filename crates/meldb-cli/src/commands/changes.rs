//! `meldb changes`: what was written to a tenant, in commit order.

use clap::Args;
use meldb::{CollectionName, TenantId};

use crate::{
    backend::ChangesRequest,
    directory::Missing,
    failure::Result,
    output::{Lines, Output},
    target::TargetArgs,
};

/// The arguments of `meldb changes`.
#[derive(Args, Debug)]
#[command(after_help = "\
Each line is the last write of a document: {\"revision\",\"collection\",\"id\",\"kind\",\"updated\",\"updatedBy\"},
with --documents also \"data\". To go on later, give the revision of the last line to --after.

Deletes are remembered for a time (30 days by default). A revision from before that has expired: begin
again without --after.

Examples:
  meldb changes acme
  meldb changes acme --collection users --follow --documents
  meldb changes acme --follow --after now
  meldb changes acme --collection users --documents --where 'role = \"owner\"' --follow
  meldb changes acme --after 42 | jq -r 'select(.kind == \"deleted\") | .id'
  meldb changes acme --follow --url http://127.0.0.1:8080 --key @key.txt   (scope changes:read)")]
pub(crate) struct ChangesArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Only what was written behind this revision, or from `now` on; all, if it is not given
    #[arg(long, value_name = "REVISION", default_value = "0", hide_default_value = true)]
    after: String,

    /// Only documents of this collection
    #[arg(long)]
    collection: Option<CollectionName>,

    /// Print the documents as well
    #[arg(long)]
    documents: bool,

    /// Only documents that pass this filter, as of `meldb find`, and deletes
    #[arg(long = "where", value_name = "FILTER", requires_all = ["collection", "documents"])]
    filter: Option<String>,

    /// Wait for further changes and print them as they are committed
    #[arg(long, short)]
    follow: bool,
}

/// Prints changes.
pub(crate) async fn run(args: ChangesArgs, output: Output) -> Result<()> {
    let ChangesArgs { target, tenant, after, collection, documents, filter, follow } = args;
    let backend = target.open(Missing::FailToRead).await?;
    let request =
        ChangesRequest { tenant, after, collection, documents, filter, every: false, follow };
    let mut out = Lines::new(output);
    let mut print = |lines: Vec<Vec<u8>>| {
        lines.iter().try_for_each(|line| out.line(line))?;
        out.flush()
    };
    backend.changes(&request, &mut print).await
}
