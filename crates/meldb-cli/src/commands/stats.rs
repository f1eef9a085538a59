//! `meldb stats`: what the tenants hold.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use meldb::TenantId;
use meldb_http::TenantInfo;
use serde::Serialize;

use crate::{
    directory::Missing,
    failure::Result,
    output::{Output, table},
    target::TargetArgs,
};

/// The arguments of `meldb stats`.
#[derive(Args, Debug)]
#[command(after_help = "\
The figures are kept with each write; nothing is counted. BYTES are those of the stored texts, DELETED
are documents that were deleted and that the change feed still remembers.

Examples:
  meldb stats
  meldb stats acme --json | jq .documents")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Only this tenant
    #[arg(value_name = "TENANT")]
    tenant: Option<TenantId>,
}

/// What a line says of a tenant.
#[derive(Serialize)]
struct Facts<'a> {
    tenant: &'a TenantId,
    documents: u64,
    bytes: u64,
    deleted: u64,
    revision: u64,
}

impl<'a> Facts<'a> {
    fn of(stats: &'a TenantInfo) -> Self {
        let TenantInfo { tenant, documents, bytes, deleted, revision, .. } = stats;
        let (documents, bytes) = (*documents, *bytes);
        Self { tenant, documents, bytes, deleted: *deleted, revision: *revision }
    }

    fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Prints what the tenants hold.
pub(crate) async fn run(args: StatsArgs, output: Output) -> Result<()> {
    let backend = args.target.open(Missing::FailToRead).await?;
    let stats = backend.stats(args.tenant).await?;
    if !output.terminal {
        return stats.iter().try_for_each(|stats| output.line(Facts::of(stats).line()));
    }
    let row = |stats: &TenantInfo| {
        vec![
            stats.tenant.to_string(),
            HumanCount(stats.documents).to_string(),
            HumanBytes(stats.bytes).to_string(),
            HumanCount(stats.deleted).to_string(),
            stats.revision.to_string(),
        ]
    };
    let rows: Vec<_> = stats.iter().map(row).collect();
    output.line(table(&["TENANT", "DOCUMENTS", "BYTES", "DELETED", "REVISION"], &rows))
}
