//! `meldb stats`: what the tenants hold.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use meldb::TenantId;

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

/// Prints what the tenants hold.
pub(crate) async fn run(args: StatsArgs, output: Output) -> Result<()> {
    let backend = args.target.open(Missing::Fail).await?;
    let stats = backend.stats(args.tenant).await?;
    if !output.terminal {
        return stats
            .iter()
            .try_for_each(|stats| output.line(serde_json::to_string(stats).unwrap_or_default()));
    }
    let row = |stats: &crate::backend::TenantStats| {
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
