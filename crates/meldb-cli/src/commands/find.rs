//! `meldb find`: the documents of a collection that pass a filter.

use clap::Args;
use serde_json::Value;

use super::list::document_line;
use crate::{
    address::CollectionAddress,
    backend::{Entry, FindRequest},
    directory::Missing,
    failure::Result,
    output::{Lines, Output, table},
    target::TargetArgs,
};

/// How many documents a table has, unless --limit says it.
const TABLE_ROWS: usize = 100;
/// The most columns of a table.
const COLUMNS_MAX: usize = 6;
/// The longest cell of a table, in characters.
const CELL_CHARACTERS_MAX: usize = 40;

/// The arguments of `meldb find`.
#[derive(Args, Debug)]
#[command(after_help = "\
A filter is conditions joined by `and`: a field, one of = != < <= > >= ^= in has missing exists, and a JSON value. `or` is
written in brackets, $id is the document's id. On a terminal the answer is a table of the first 100; in a pipe, and with
--json, it is one line a document, as of `meldb list`.

Examples:
  meldb find acme/users 'role = \"owner\" and seats >= 3' --sort -seats --limit 20
  meldb find acme/users '(address.city = \"London\" or address missing)' --fields name,address.city
  meldb find acme/users '$id ^= \"user-\" and tags has \"new\"' | jq -r .id
  meldb find acme/users 'seats > 10' --explain")]
pub(crate) struct FindArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The collection: TENANT/COLLECTION
    #[arg(value_name = "COLLECTION")]
    collection: CollectionAddress,

    /// Which documents; all, if it is not given
    #[arg(value_name = "FILTER")]
    filter: Option<String>,

    /// Sort by these fields, the first one first; - in front of one that descends
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    sort: Option<String>,

    /// Print only these fields of each document
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,

    /// Find this many documents at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Say how the question is answered, and do not answer it
    #[arg(long)]
    explain: bool,
}

/// Finds documents.
pub(crate) async fn run(args: FindArgs, output: Output) -> Result<()> {
    let FindArgs { target, collection, filter, sort, fields, limit, explain } = args;
    let limit = limit.or_else(|| output.terminal.then_some(TABLE_ROWS));
    let request = FindRequest { collection, filter, sort, fields, limit };
    let backend = target.open(Missing::FailToRead).await?;
    let mut lines = Lines::new(output);
    if explain {
        lines.line(backend.explain(&request).await?.as_bytes())?;
        return lines.flush();
    }
    if output.terminal {
        let mut entries = Vec::new();
        let mut keep = |entry: Entry| {
            entries.push(entry);
            Ok(())
        };
        backend.find(&request, &mut keep).await?;
        if !entries.is_empty() {
            lines.line(shown(&entries).as_bytes())?;
        }
        output.remark(&format!("{} documents", entries.len()));
        return Ok(());
    }
    let mut print = |entry: Entry| lines.line(&document_line(&request.collection, &entry));
    let found = backend.find(&request, &mut print).await;
    // What has been found is printed also when the rest fails.
    lines.flush()?;
    found
}

/// Returns a table of the first fields that the documents have.
fn shown(entries: &[Entry]) -> String {
    let parsed: Vec<Value> = entries
        .iter()
        .map(|entry| serde_json::from_slice(&entry.text).unwrap_or_default())
        .collect();
    let mut columns: Vec<&str> = Vec::new();
    for name in parsed.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys()) {
        let is_stamp = matches!(name.as_str(), "updated" | "updatedBy");
        if !is_stamp && !columns.contains(&name.as_str()) && columns.len() < COLUMNS_MAX {
            columns.push(name);
        }
    }
    let cell = |value: Option<&Value>| {
        let text = match value {
            None => String::new(),
            Some(Value::String(text)) => text.escape_debug().to_string(),
            Some(value) => value.to_string(),
        };
        match text.char_indices().nth(CELL_CHARACTERS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let row = |(entry, value): (&Entry, &Value)| {
        let cells = columns.iter().map(|column| cell(value.get(column)));
        std::iter::once(entry.id.clone()).chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<_> = entries.iter().zip(&parsed).map(row).collect();
    let head: Vec<String> =
        columns.iter().map(|name| name.escape_debug().to_string().to_uppercase()).collect();
    let head: Vec<&str> = std::iter::once("ID").chain(head.iter().map(String::as_str)).collect();
    table(&head, &rows)
}
