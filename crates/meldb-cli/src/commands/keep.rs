//! `meldb history`, `forget` and `redact`: how long writes are kept, and removing what nobody may keep.

use std::{str::FromStr, time::Duration};

use clap::Args;
use meldb::{CollectionName, History, TenantId};

use crate::{
    address::Address,
    backend::history::KeptPlace,
    directory::Missing,
    failure::{Failure, Result},
    output::Output,
    target::TargetArgs,
    units,
};

/// The arguments of `meldb history`.
#[derive(Args, Debug)]
#[command(after_help = "\
From when it is set, every write of the collection is kept for the time: `meldb log`, `show`, `blame` and `undo`
work from it. What is older goes in the background. A collection without a setting has that of the server:
--history of `meldb serve`.

Examples:
  meldb history acme/users                          what holds
  meldb history acme/users --days 90
  meldb history acme/users --forever
  meldb history acme/users --off                    and what was kept goes
  meldb history acme --days 90                      the tenant's own document")]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION; or TENANT for its own document
    #[arg(value_name = "COLLECTION")]
    place: KeptPlace,

    #[command(flatten)]
    keep: KeepArgs,

    /// Who sets it; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// How long to keep writes.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct KeepArgs {
    /// Keep every write for so many days
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,

    /// Keep every write for this time, such as 12h
    #[arg(long = "for", value_name = "TIME", value_parser = units::duration)]
    time: Option<Duration>,

    /// Keep every write for ever
    #[arg(long)]
    forever: bool,

    /// Keep no writes, and have those removed that were kept
    #[arg(long)]
    off: bool,

    /// Leave it to the server's default
    #[arg(long)]
    default: bool,
}

/// The arguments of `meldb forget`.
#[derive(Args, Debug)]
#[command(after_help = "\
The document is deleted, every version of it is removed from the history, and the store's files are rewritten
without them. What stays is that it was deleted, by whom and when. Backups are not touched.

Example:
  meldb forget acme/users/ada --yes")]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// Do it: there is no way back
    #[arg(long)]
    yes: bool,

    /// Who is stamped; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// The arguments of `meldb redact`.
#[derive(Args, Debug)]
#[command(after_help = "\
The field is removed from the document and from every version of it, and the store's files are rewritten without
its values. The versions say that something was redacted, by whom and when. Backups are not touched.

Examples:
  meldb redact acme/users/ada /email --yes
  meldb redact acme/users/ada /address/street --yes")]
pub(crate) struct RedactArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// The field, as a JSON Pointer (RFC 6901) through objects
    #[arg(value_name = "POINTER")]
    pointer: String,

    /// Do it: there is no way back
    #[arg(long)]
    yes: bool,

    /// Who is stamped; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

impl FromStr for KeptPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tenant, collection) = match text.split_once('/') {
            None => (text, None),
            Some((tenant, collection)) => (tenant, Some(collection)),
        };
        Ok(Self {
            tenant: TenantId::parse(tenant).map_err(|error| error.to_string())?,
            collection: collection
                .map(CollectionName::parse)
                .transpose()
                .map_err(|error| error.to_string())?,
        })
    }
}

impl KeepArgs {
    /// Returns what is to hold: `None` if it is only asked, and `Some(None)` for the default.
    fn wanted(&self) -> Option<Option<History>> {
        match self {
            Self { days: Some(days), .. } => Some(Some(History::days(*days))),
            Self { time: Some(time), .. } => Some(Some(History::for_duration(*time))),
            Self { forever: true, .. } => Some(Some(History::forever())),
            Self { off: true, .. } => Some(Some(History::off())),
            Self { default: true, .. } => Some(None),
            _ => None,
        }
    }
}

/// Shows or sets how long the writes of a collection are kept.
pub(crate) async fn history(args: HistoryArgs, output: Output) -> Result<()> {
    let HistoryArgs { target, place, keep, actor } = args;
    let setting = match keep.wanted() {
        None => target.open(Missing::FailToRead).await?.history_setting(&place).await?,
        Some(history) => {
            let actor = target.actor(actor.as_deref())?;
            let backend = target.open(Missing::Fail).await?;
            backend.set_history(&place, history, actor).await?
        }
    };
    if output.json {
        return output.line(serde_json::to_string(&setting).unwrap_or_default());
    }
    let name = match &place.collection {
        Some(collection) => format!("{}/{collection}", place.tenant),
        None => format!("{}'s own document", place.tenant),
    };
    output.line(match setting.keep_ms {
        None => format!("{name}: every write is kept for ever"),
        Some(0) => format!("{name}: no writes are kept"),
        Some(keep_ms) => {
            let time = humantime::format_duration(Duration::from_millis(keep_ms));
            format!(
                "{name}: every write is kept for {}",
                in_days(keep_ms).unwrap_or(time.to_string())
            )
        }
    })
}

/// Returns whole days in words: a month of `humantime` is no number of them.
fn in_days(keep_ms: u64) -> Option<String> {
    const DAY_MS: u64 = 86_400_000;
    match (keep_ms / DAY_MS, keep_ms % DAY_MS) {
        (1, 0) => Some("1 day".to_owned()),
        (days, 0) => Some(format!("{days} days")),
        _ => None,
    }
}

/// Forgets a document.
pub(crate) async fn forget(args: ForgetArgs, output: Output) -> Result<()> {
    let ForgetArgs { target, address, yes, actor } = args;
    if !yes {
        let message = format!("this removes {address} and all of its history for good");
        return Err(Failure::usage(message).hint("add --yes if that is meant"));
    }
    let actor = target.actor(actor.as_deref())?;
    let forgotten = target.open(Missing::Fail).await?.forget(&address, actor).await?;
    if output.json {
        return output.line(serde_json::to_string(&forgotten).unwrap_or_default());
    }
    let deleted = if forgotten.deleted { "deleted" } else { "not there" };
    output.line(format!("{address} was {deleted}; {} versions were removed", forgotten.versions))
}

/// Redacts a field of a document.
pub(crate) async fn redact(args: RedactArgs, output: Output) -> Result<()> {
    let RedactArgs { target, address, pointer, yes, actor } = args;
    if !yes {
        let message =
            format!("this removes {pointer} from {address} and all of its history for good");
        return Err(Failure::usage(message).hint("add --yes if that is meant"));
    }
    let actor = target.actor(actor.as_deref())?;
    let redacted = target.open(Missing::Fail).await?.redact(&address, &pointer, actor).await?;
    if output.json {
        return output.line(serde_json::to_string(&redacted).unwrap_or_default());
    }
    let document = if redacted.document { "the document and " } else { "" };
    output.line(format!(
        "{pointer} of {address} was removed from {document}{} versions",
        redacted.versions
    ))
}
