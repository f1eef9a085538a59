//! `meldb erase`: all that a tenant has, for good.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use meldb::TenantId;

use super::common::confirm;
use crate::{
    backend::EraseRequest, directory::Missing, failure::Result, output::Output, target::TargetArgs,
};

/// The arguments of `meldb erase`.
#[derive(Args, Debug)]
#[command(after_help = "\
The tenant's keys are revoked, its documents, their tombstones and its change sequence are removed, and
the store's files are rewritten without them. What stays is one entry that says that it was erased, by
whom and when, and a proof in the store's own tenant. A running server puts a line in its audit log.

Backups are not touched.

On a terminal it asks for the tenant's name first; elsewhere it needs --yes.

Example:
  meldb erase acme --yes")]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Do not ask: there is no way back
    #[arg(long)]
    yes: bool,

    /// Who erases; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// Erases a tenant.
pub(crate) async fn run(args: EraseArgs, output: Output) -> Result<()> {
    let EraseArgs { target, tenant, yes, actor } = args;
    if !yes {
        confirm(&format!("this removes all of {tenant} for good"), tenant.as_str())?;
    }
    let actor = target.actor(actor.as_deref())?;
    let backend = target.open(Missing::Fail).await?;
    let request = EraseRequest { tenant: tenant.clone(), actor };
    let erased = backend.erase(request).await?;
    if output.json {
        return output.line(serde_json::to_string(&erased).unwrap_or_default());
    }
    output.line(format!(
        "erased {} documents ({}) of {tenant} at revision {}, and revoked {} keys",
        HumanCount(erased.documents),
        HumanBytes(erased.bytes),
        erased.revision,
        erased.keys
    ))
}
