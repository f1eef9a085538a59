//! `meldb index`: the indexes of collections.

use std::time::Duration;

use clap::{Args, Subcommand};
use meldb::Index;
use meldb_http::{ShownIndex, ShownIndexes};

use crate::{
    address::{CollectionAddress, ListAddress},
    backend::Backend,
    directory::Missing,
    failure::{Code, Failure, Result},
    output::{Lines, Output, table},
    target::TargetArgs,
};

/// How often it is asked how far an index is.
const POLL: Duration = Duration::from_millis(50);

/// The commands of `meldb index`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
An index has an entry for every document of its collection, ordered by its fields; one without
them comes first. It answers a filter that compares its first fields with =, and perhaps the
next one with another operator, and a sort by the fields behind those. `meldb find --explain`
says whether it does.

Examples:
  meldb index add acme/users by_role role,seats --wait
  meldb index add acme/users by_email email --unique
  meldb find acme/users 'role = \"owner\" and seats >= 3' --sort -seats
  meldb index list acme
  meldb index drop acme/users by_role")]
pub(crate) enum IndexCommand {
    /// Define an index; it is filled in the background
    Add(AddArgs),
    /// List the indexes of a tenant or a collection, and how far they are
    List(ListArgs),
    /// Drop an index
    Drop(DropArgs),
}

/// The arguments of `meldb index add`.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION
    #[arg(value_name = "COLLECTION")]
    collection: CollectionAddress,

    /// Its name: letters, digits, _ and -
    #[arg(value_name = "NAME")]
    name: String,

    /// The fields, with commas between them, the first one first
    #[arg(value_name = "FIELDS")]
    fields: Index,

    /// Refuse what would give two documents the same values; waits until it is ready
    #[arg(long)]
    unique: bool,

    /// Wait until it is ready
    #[arg(long)]
    wait: bool,

    /// Who defines it; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// The arguments of `meldb index list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant, or one of its collections: TENANT/COLLECTION
    #[arg(value_name = "TENANT")]
    place: ListAddress,
}

/// The arguments of `meldb index drop`.
#[derive(Args, Debug)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION
    #[arg(value_name = "COLLECTION")]
    collection: CollectionAddress,

    /// Its name
    #[arg(value_name = "NAME")]
    name: String,

    /// Who drops it; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// Defines, lists or drops indexes.
pub(crate) async fn run(command: IndexCommand, output: Output) -> Result<()> {
    match command {
        IndexCommand::Add(args) => add(args, output).await,
        IndexCommand::List(ListArgs { target, place }) => {
            let backend = target.open(Missing::FailToRead).await?;
            let shown = match &place {
                ListAddress::Tenant(tenant) => backend.indexes(tenant, None).await?,
                ListAddress::Collection(CollectionAddress { tenant, collection }) => {
                    backend.indexes(tenant, Some(collection)).await?
                }
            };
            print(&shown, output)
        }
        IndexCommand::Drop(DropArgs { target, collection, name, actor }) => {
            let actor = target.actor(actor.as_deref())?;
            let backend = target.open(Missing::Fail).await?;
            let CollectionAddress { tenant, collection: of } = &collection;
            let before = backend.indexes(tenant, Some(of)).await?;
            if before.indexes.iter().all(|index| index.name != name) {
                let message = format!("{tenant}/{of} has no index {name}");
                return Err(Failure::new(Code::NotFound, message)
                    .hint("`meldb index list` shows those that it has"));
            }
            let shown = backend.drop_index(&collection, &name, actor).await?;
            output.remark(&format!("{tenant}/{of}: {name} is dropped"));
            if output.json { print(&shown, output) } else { Ok(()) }
        }
    }
}

async fn add(args: AddArgs, output: Output) -> Result<()> {
    let AddArgs { target, collection, name, fields, unique, wait, actor } = args;
    let index = if unique { fields.unique() } else { fields };
    let actor = target.actor(actor.as_deref())?;
    let backend = target.open(Missing::Create).await?;
    let mut shown = backend.define_index(&collection, &name, index, actor).await?;
    if wait {
        shown = wait_for(&backend, &collection, &name, output).await?;
    }
    print(&shown, output)
}

/// Waits until an index is ready, and shows how many documents have been read.
async fn wait_for(
    backend: &Backend,
    CollectionAddress { tenant, collection }: &CollectionAddress,
    name: &str,
    output: Output,
) -> Result<ShownIndexes> {
    let bar = output.spinner("{spinner} {human_pos} documents  {per_sec}");
    loop {
        let shown = backend.indexes(tenant, Some(collection)).await?;
        let index = shown.indexes.iter().find(|index| index.name == name);
        match index {
            Some(ShownIndex { failure: Some(failure), .. }) => {
                return Err(Failure::new(
                    Code::Damaged,
                    format!("{name} cannot be built: {failure}"),
                )
                .hint("`meldb verify` shows what is damaged"));
            }
            Some(index) if index.state != "ready" => {
                bar.set_position(index.documents.unwrap_or_default());
            }
            _ => {
                bar.finish_and_clear();
                return Ok(shown);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Prints indexes: a table, or with --json a line for each.
fn print(shown: &ShownIndexes, output: Output) -> Result<()> {
    let mut lines = Lines::new(output);
    if output.json {
        for index in &shown.indexes {
            lines.line(&serde_json::to_vec(index).unwrap_or_default())?;
        }
        return lines.flush();
    }
    let row = |index: &ShownIndex| {
        let state = match (&index.failure, index.documents) {
            (Some(failure), _) => format!("failed: {failure}"),
            (None, Some(documents)) => format!("building, {documents} documents read"),
            (None, None) => index.state.clone(),
        };
        let collection = format!("{}/{}", shown.tenant, index.collection);
        let unique = if index.unique { " (unique)" } else { "" };
        vec![collection, index.name.clone(), format!("{}{unique}", index.fields), state]
    };
    let rows: Vec<_> = shown.indexes.iter().map(row).collect();
    if rows.is_empty() {
        output.remark("no indexes");
        return Ok(());
    }
    lines.line(table(&["COLLECTION", "NAME", "FIELDS", "STATE"], &rows).as_bytes())?;
    lines.flush()
}
