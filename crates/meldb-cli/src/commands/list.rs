//! `meldb list`: the documents of a collection, or the collections of a tenant.

use clap::Args;
use meldb::{CollectionName, TenantId};
use serde::{Deserialize, Serialize};

use crate::{
    address::{CollectionAddress, ListAddress},
    backend::{Backend, Entry, ListRequest, Listed},
    directory::Missing,
    failure::{Failure, Result},
    output::{Lines, Output, table, time, with_data},
    target::TargetArgs,
};

/// How many rows of a table are gathered to find the widths of its columns.
const TABLE_ROWS: usize = 1000;

/// The arguments of `meldb list`.
#[derive(Args, Debug)]
#[command(after_help = "\
On a terminal the list is a table; in a pipe, and with --json, it is one line a document:
{\"tenant\",\"collection\",\"id\",\"revision\",\"data\"}, which `meldb import` reads.

Examples:
  meldb list acme
  meldb list acme/users
  meldb list acme/users --limit 100 --after ada
  meldb list acme/users | jq -r 'select(.data.role == \"owner\") | .id'
  meldb list acme/users --dir here | meldb import - --dir there")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION; or a TENANT, for its collections
    #[arg(value_name = "COLLECTION")]
    address: ListAddress,

    /// Start behind this id, which need not exist
    #[arg(long, value_name = "ID")]
    after: Option<String>,

    /// List this many documents at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

/// Lists the documents of a collection, or the collections of a tenant.
pub(crate) async fn run(args: ListArgs, output: Output) -> Result<()> {
    let ListArgs { target, address, after, limit } = args;
    let collection = match address {
        ListAddress::Collection(collection) => collection,
        ListAddress::Tenant(_) if after.is_some() || limit.is_some() => {
            return Err(Failure::usage(
                "--after and --limit are for the documents of a collection",
            ));
        }
        ListAddress::Tenant(tenant) => {
            let backend = target.open(Missing::FailToRead).await?;
            return collections(&backend, &tenant, output).await;
        }
    };
    let after = after.map(|id| meldb::DocId::parse(&id)).transpose()?.map(|id| id.to_string());
    let backend = target.open(Missing::FailToRead).await?;
    let request = ListRequest { collection, after, limit };
    let mut lines = Lines::new(output);
    if output.terminal {
        let mut rows = Rows { lines, rows: Vec::new(), count: 0 };
        backend.list(&request, &mut |entry| rows.push(&entry)).await?;
        rows.print()?;
        output.remark(&format!("{} documents", rows.count));
        return Ok(());
    }
    let mut print = |entry: Entry| lines.line(&document_line(&request.collection, &entry));
    let listed = backend.list(&request, &mut print).await;
    // What has been listed is printed also when the rest fails.
    lines.flush()?;
    listed
}

/// Lists the collections of a tenant, with how much they hold.
async fn collections(backend: &Backend, tenant: &TenantId, output: Output) -> Result<()> {
    let listed = backend.collections(tenant).await?;
    let mut lines = Lines::new(output);
    if output.terminal {
        let count =
            |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let row =
            |found: &Listed| vec![found.name.clone(), count(found.documents), count(found.bytes)];
        let rows: Vec<_> = listed.iter().map(row).collect();
        if !rows.is_empty() {
            lines.line(table(&["COLLECTION", "DOCUMENTS", "BYTES"], &rows).as_bytes())?;
        }
        output.remark(&format!("{} collections", rows.len()));
        return Ok(());
    }
    for Listed { name, documents, bytes } in listed {
        let facts = serde_json::json!({
            "tenant": tenant, "collection": name, "documents": documents, "bytes": bytes,
        });
        lines.line(facts.to_string().as_bytes())?;
    }
    lines.flush()
}

/// What a line says beside the document.
#[derive(Serialize)]
struct Facts<'a> {
    tenant: &'a TenantId,
    collection: &'a CollectionName,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// Returns the line of a document of a collection, in JSON.
pub(super) fn document_line(address: &CollectionAddress, entry: &Entry) -> Vec<u8> {
    let CollectionAddress { tenant, collection } = address;
    let facts = Facts { tenant, collection, id: &entry.id, revision: entry.revision };
    with_data(&facts, &entry.text)
}

/// The rows of a table that have not been printed yet.
struct Rows {
    lines: Lines,
    rows: Vec<Vec<String>>,
    count: usize,
}

/// The stamps of a document.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stamps {
    updated: u64,
    updated_by: String,
}

impl Rows {
    fn push(&mut self, entry: &Entry) -> Result<()> {
        let stamps: Stamps = serde_json::from_slice(&entry.text).unwrap_or_default();
        let revision = entry.revision.map_or_else(|| "-".to_owned(), |number| number.to_string());
        self.rows.push(vec![
            entry.id.clone(),
            revision,
            time(stamps.updated),
            stamps.updated_by.escape_debug().to_string(),
        ]);
        self.count += 1;
        if self.rows.len() == TABLE_ROWS { self.print() } else { Ok(()) }
    }

    fn print(&mut self) -> Result<()> {
        if !self.rows.is_empty() {
            let text = table(&["ID", "REVISION", "UPDATED", "UPDATED BY"], &self.rows);
            self.lines.line(text.as_bytes())?;
            self.rows.clear();
        }
        Ok(())
    }
}
