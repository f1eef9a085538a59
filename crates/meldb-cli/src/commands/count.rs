//! `meldb count`: how many documents of a collection pass a filter.

use clap::Args;

use crate::{
    address::CollectionAddress, backend::FindRequest, directory::Missing, failure::Result,
    output::Output, target::TargetArgs,
};

/// The arguments of `meldb count`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb count acme/users
  meldb count acme/users 'role = \"owner\" and seats >= 3'
  meldb count acme/users 'email missing' --json     {\"count\":42}")]
pub(crate) struct CountArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION
    #[arg(value_name = "COLLECTION")]
    collection: CollectionAddress,

    /// Which documents, as of `meldb find`; all, if it is not given
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Counts documents.
pub(crate) async fn run(args: CountArgs, output: Output) -> Result<()> {
    let CountArgs { target, collection, filter } = args;
    let request = FindRequest { collection, filter, sort: None, fields: None, limit: None };
    let count = target.open(Missing::FailToRead).await?.count(&request).await?;
    match output.json {
        true => output.line(serde_json::json!({"count": count}).to_string()),
        false => output.line(count.to_string()),
    }
}
