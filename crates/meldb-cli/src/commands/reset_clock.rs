//! `meldb reset-clock`: taking back times that a clock far ahead has left.

use clap::Args;
use indicatif::HumanCount;
use meldb::{TenantId, TimeReset};

use crate::{
    directory::Missing,
    failure::{Failure, Result},
    output::{Output, time},
    target::TargetArgs,
};

/// The arguments of `meldb reset-clock`.
#[derive(Args, Debug)]
#[command(after_help = "\
Times in a store never go back by themselves: after a clock has shown the year 2100 once, writes are
stamped with that year, keys and documents that expire before it have expired, and deletes are
remembered until then. This takes all that back to what the clock of the store's machine shows now, so
set that right first.

Documents and deletes that were stamped later than now are stamped anew and get new revisions: readers
of the change feed see them again, and writes on a condition that they are unchanged are refused once.
Texts, actors and times of expiry stay. What has been removed because it had expired does not come back.
Until the command has ended, reports may lack documents; if it was cut off, run it again.

Examples:
  meldb reset-clock --yes                 every tenant, and the time by which keys expire
  meldb reset-clock acme --yes            one tenant
  meldb reset-clock --yes --url http://127.0.0.1:8080 --key @key.txt    (an operator's key)")]
pub(crate) struct ResetClockArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Only this tenant, and not the keys
    #[arg(value_name = "TENANT")]
    tenant: Option<TenantId>,

    /// Do it: stamps of documents change
    #[arg(long)]
    yes: bool,
}

/// Takes times back, and prints what was ahead.
pub(crate) async fn run(args: ResetClockArgs, output: Output) -> Result<()> {
    let ResetClockArgs { target, tenant, yes } = args;
    if !yes {
        let message =
            "this gives everything that was stamped in the future new stamps and revisions";
        return Err(Failure::usage(message).hint(
            "look first at what `date` says where the store is, and add --yes if it is right",
        ));
    }
    let backend = target.open(Missing::Fail).await?;
    let reset = backend.reset_clock(tenant).await?;
    if output.json {
        return output.line(serde_json::to_string(&reset).unwrap_or_default());
    }
    let line = |what: &str, reset: &TimeReset| {
        let TimeReset { from, to, documents, deleted, .. } = *reset;
        output.line(format!(
            "{what}: from {} back to {}; {} documents and {} deletes were stamped anew",
            time(from),
            time(to),
            HumanCount(documents),
            HumanCount(deleted),
        ))
    };
    for tenant in &reset.tenants {
        line(tenant.tenant.as_str(), &tenant.time)?;
    }
    if let Some(keys) = &reset.keys {
        line("keys", keys)?;
    }
    match reset.tenants.is_empty() && reset.keys.is_none() {
        true => {
            output.line(format!("nothing is ahead of the clock, which shows {}", time(reset.now)))
        }
        false => Ok(()),
    }
}
