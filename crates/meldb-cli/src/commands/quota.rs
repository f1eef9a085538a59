//! `meldb quota`: how much the tenants may hold.

use clap::{Args, Subcommand};
use indicatif::{HumanBytes, HumanCount};
use meldb::{Quota, TenantId};
use meldb_http::TenantInfo;
use serde::Serialize;

use crate::{
    backend::QuotaRequest,
    directory::Missing,
    failure::Result,
    output::{Output, table},
    target::TargetArgs,
    units,
};

/// The commands of `meldb quota`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A write that would make a tenant hold more than its quota is refused; one that makes it hold less is always
taken. A tenant without a quota of its own has that of the server: --quota-documents and --quota-bytes
of `meldb serve`.

Examples:
  meldb quota set acme --documents 100000 --bytes 1GB
  meldb quota set acme --unlimited          whatever the server's quota is
  meldb quota clear acme                    the server's quota again
  meldb quota show")]
pub(crate) enum QuotaCommand {
    /// Print what the tenants hold and may hold
    Show(ShowArgs),
    /// Give a tenant a quota of its own
    Set(SetArgs),
    /// Take a tenant's own quota away
    Clear(ClearArgs),
}

/// The arguments of `meldb quota show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Only this tenant
    #[arg(value_name = "TENANT")]
    tenant: Option<TenantId>,
}

/// The arguments of `meldb quota set`.
#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    whose: WhoseArgs,

    /// The most documents; without this, any number
    #[arg(long, value_name = "COUNT", required_unless_present_any = ["bytes", "unlimited"])]
    documents: Option<u64>,

    /// The most bytes of their stored texts, such as 64MB or 1GiB; without this, any number
    #[arg(long, value_name = "BYTES", value_parser = units::size::<u64>)]
    bytes: Option<u64>,

    /// No quota at all
    #[arg(long, conflicts_with_all = ["documents", "bytes"])]
    unlimited: bool,
}

/// The arguments of `meldb quota clear`.
#[derive(Args, Debug)]
pub(crate) struct ClearArgs {
    #[command(flatten)]
    whose: WhoseArgs,
}

/// Whose quota is changed, and by whom.
#[derive(Args, Debug)]
struct WhoseArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Who changes it; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// What a line says of a tenant.
#[derive(Serialize)]
struct Facts<'a> {
    tenant: &'a TenantId,
    documents: u64,
    bytes: u64,
    quota: Quota,
}

/// Shows or changes quotas, and prints what holds then.
pub(crate) async fn run(command: QuotaCommand, output: Output) -> Result<()> {
    let (target, request) = match command {
        QuotaCommand::Show(ShowArgs { target, tenant }) => (target, QuotaRequest::Show { tenant }),
        QuotaCommand::Set(SetArgs { whose, documents, bytes, .. }) => {
            whose.request(Some(Quota { documents, bytes }))?
        }
        QuotaCommand::Clear(ClearArgs { whose }) => whose.request(None)?,
    };
    let missing = match &request {
        QuotaRequest::Show { .. } => Missing::FailToRead,
        QuotaRequest::Set { .. } => Missing::Fail,
    };
    let backend = target.open(missing).await?;
    let quotas = backend.quota(request).await?;
    if !output.terminal {
        return quotas.iter().try_for_each(
            |TenantInfo { tenant, documents, bytes, quota, .. }| {
                let facts = Facts { tenant, documents: *documents, bytes: *bytes, quota: *quota };
                output.line(serde_json::to_string(&facts).unwrap_or_default())
            },
        );
    }
    let count = |count: u64| HumanCount(count).to_string();
    let bytes = |bytes: u64| HumanBytes(bytes).to_string();
    let of = |held: String, max: Option<String>| match max {
        Some(max) => format!("{held} of {max}"),
        None => held,
    };
    let row = |tenant: &TenantInfo| {
        vec![
            tenant.tenant.to_string(),
            of(count(tenant.documents), tenant.quota.documents.map(count)),
            of(bytes(tenant.bytes), tenant.quota.bytes.map(bytes)),
        ]
    };
    let rows: Vec<_> = quotas.iter().map(row).collect();
    output.line(table(&["TENANT", "DOCUMENTS", "BYTES"], &rows))
}

impl WhoseArgs {
    fn request(self, quota: Option<Quota>) -> Result<(TargetArgs, QuotaRequest)> {
        let actor = self.target.actor(self.actor.as_deref())?;
        let request = QuotaRequest::Set { tenant: self.tenant, quota, actor };
        Ok((self.target, request))
    }
}
