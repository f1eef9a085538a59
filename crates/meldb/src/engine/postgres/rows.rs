//! The columns of the tables as documents, changes and heads, and back.

use bytes::Bytes;
use tokio_postgres::{Row as Columns, types::FromSql};

use super::database::{Param, damaged, params, unreadable};
use crate::{
    engine::{Change, ChangeKind, Head, Row, RowWrite, Totals, history, key, record},
    types::{Actor, CollectionName, DocId, DocumentKey, Result, Revision, TenantId},
};

/// Returns a number as the database has it.
///
/// Revisions, times and totals stay below 2⁶³.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a count as the limit of a statement.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns a number of the database's.
pub(super) fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or_default()
}

/// Returns the value in a column.
pub(super) fn column<'a, T: FromSql<'a>>(columns: &'a Columns, index: usize) -> Result<T> {
    columns.try_get(index).map_err(|error| unreadable(&error))
}

pub(super) fn revision(columns: &Columns, index: usize) -> Result<Revision> {
    column(columns, index).map(number).map(Revision::new)
}

/// Returns the shard that a tenant and its receipts are in.
pub(super) fn shard(tenant: &TenantId) -> Vec<u8> {
    tenant.owner().into()
}

/// Returns the name of a tenant as it is stored.
pub(super) fn part(tenant: &TenantId) -> Vec<u8> {
    tenant.as_str().into()
}

/// Returns the names of a collection and a document as they are stored; a tenant's own document has
/// empty ones.
pub(super) fn names_of(document: &DocumentKey) -> (Vec<u8>, Vec<u8>) {
    match document {
        DocumentKey::Tenant => (Vec::new(), Vec::new()),
        DocumentKey::Member { collection, id } => (collection.as_str().into(), id.as_str().into()),
    }
}

/// The stored names of a row: tenant, collection, id.
pub(super) type RowNames = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Returns the names in the columns `part, coll, id`.
pub(super) fn names(columns: &Columns) -> Result<RowNames> {
    Ok((column(columns, 0)?, column(columns, 1)?, column(columns, 2)?))
}

/// Returns the document of stored names.
pub(super) fn document(collection: &[u8], id: &[u8]) -> Result<DocumentKey> {
    if collection.is_empty() && id.is_empty() {
        return Ok(DocumentKey::Tenant);
    }
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let collection = text(collection).and_then(|name| CollectionName::parse(name).ok());
    let id = text(id).and_then(|name| DocId::parse(name).ok());
    match (collection, id) {
        (Some(collection), Some(id)) => Ok(DocumentKey::Member { collection, id }),
        _ => Err(damaged("a row", "it has the name of no document")),
    }
}

/// Returns the tenant of a stored name.
pub(super) fn tenant(name: &[u8]) -> Result<TenantId> {
    let name = std::str::from_utf8(name).ok().and_then(TenantId::stored);
    name.ok_or_else(|| damaged("a row", "it has the name of no tenant"))
}

/// Returns the checksum of a row, which covers all but its revision, given by the database.
pub(super) fn sum(
    tenant: &TenantId,
    document: &DocumentKey,
    updated_ms: u64,
    body: Option<&[u8]>,
    expires_ms: Option<u64>,
) -> i64 {
    let key = key::document(tenant, document);
    record::checksum_apart(&key, updated_ms, body, expires_ms).cast_signed()
}

/// The columns of rows to be written, but for their revisions.
#[derive(Default)]
pub(super) struct RowColumns {
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) collections: Vec<Vec<u8>>,
    pub(super) ids: Vec<Vec<u8>>,
    pub(super) updated: Vec<i64>,
    pub(super) kinds: Vec<i16>,
    pub(super) actors: Vec<Vec<u8>>,
    pub(super) sums: Vec<i64>,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) deleted: Vec<bool>,
    pub(super) expires: Vec<Option<i64>>,
}

impl RowColumns {
    /// Adds the row that a write leaves.
    pub(super) fn push(&mut self, tenant: &TenantId, updated_ms: u64, write: &RowWrite) {
        let body = write.body.as_deref();
        let (collection, id) = names_of(&write.key);
        self.parts.push(part(tenant));
        self.collections.push(collection);
        self.ids.push(id);
        self.updated.push(integer(updated_ms));
        self.kinds.push(kind_number(write.kind));
        self.actors.push(write.actor.as_str().into());
        self.sums.push(sum(tenant, &write.key, updated_ms, body, write.expires_ms));
        self.expires.push(write.expires_ms.map(integer));
        self.bodies.push(body.unwrap_or_default().to_vec());
        self.deleted.push(body.is_none());
    }
}

/// The columns of entries of history to be written, but for their revisions.
#[derive(Default)]
pub(super) struct EntryColumns {
    pub(super) collections: Vec<Vec<u8>>,
    pub(super) ids: Vec<Vec<u8>>,
    pub(super) sums: Vec<i64>,
    pub(super) entries: Vec<Vec<u8>>,
}

impl EntryColumns {
    pub(super) fn push(&mut self, tenant: &TenantId, document: &DocumentKey, entry: &[u8]) {
        let (collection, id) = names_of(document);
        self.collections.push(collection);
        self.ids.push(id);
        self.sums.push(entry_sum(tenant, entry));
        self.entries.push(entry.to_vec());
    }

    /// Returns the values of rows at revisions.
    pub(super) fn at(self, revisions: impl Iterator<Item = i64>) -> Vec<Vec<Param>> {
        let Self { collections, ids, sums, entries } = self;
        let names = collections.into_iter().zip(ids);
        let rows = names.zip(revisions).zip(sums.into_iter().zip(entries));
        let row = |(((collection, id), revision), (sum, entry))| {
            params![collection, id, revision, sum, entry]
        };
        rows.map(row).collect()
    }
}

/// Returns the checksum of an entry of history, which covers all but its revision.
fn entry_sum(tenant: &TenantId, entry: &[u8]) -> i64 {
    history::checksum(&key::history(tenant, Revision::ZERO), entry).cast_signed()
}

/// Returns the revision and the bytes of an entry of history in the columns `rev, sum, entry`, if its checksum
/// holds.
pub(super) fn entry(columns: &Columns, tenant: &TenantId) -> Result<(Revision, Bytes)> {
    let (revision, sum): (_, i64) = (revision(columns, 0)?, column(columns, 1)?);
    let entry: &[u8] = column(columns, 2)?;
    match sum == entry_sum(tenant, entry) {
        true => Ok((revision, Bytes::copy_from_slice(entry))),
        false => Err(history::damaged(tenant, revision, "the checksum does not match")),
    }
}

/// What the columns of a row hold.
pub(super) struct Stored<'a> {
    pub(super) revision: Revision,
    pub(super) updated: i64,
    pub(super) deleted: bool,
    pub(super) sum: i64,
    pub(super) body: &'a [u8],
    pub(super) expires: Option<i64>,
}

impl Stored<'_> {
    /// Returns the row, if its checksum holds.
    pub(super) fn check(self, tenant: &TenantId, document: &DocumentKey) -> Result<Row> {
        let updated_ms = number(self.updated);
        let body = (!self.deleted).then_some(self.body);
        let expires_ms = self.expires.map(number);
        if sum(tenant, document, updated_ms, body, expires_ms) != self.sum {
            let what = match document {
                DocumentKey::Tenant => format!("the row {tenant}"),
                DocumentKey::Member { collection, id } => {
                    format!("the row {tenant}/{collection}/{id}")
                }
            };
            return Err(damaged(what, "the checksum does not match"));
        }
        let body = body.map(Bytes::copy_from_slice);
        Ok(Row { revision: self.revision, updated_ms, body, expires_ms })
    }
}

/// Returns the row in the columns `rev, updated, deleted, sum, body, expires` from `at` on.
pub(super) fn row(
    columns: &Columns,
    at: usize,
    tenant: &TenantId,
    document: &DocumentKey,
) -> Result<Row> {
    let stored = Stored {
        revision: revision(columns, at)?,
        updated: column(columns, at + 1)?,
        deleted: column(columns, at + 2)?,
        sum: column(columns, at + 3)?,
        body: column(columns, at + 4)?,
        expires: column(columns, at + 5)?,
    };
    stored.check(tenant, document)
}

/// Returns the change in the columns `rev, coll, id, kind, updated, actor, documents, bytes,
/// tombstones, history`.
pub(super) fn change(columns: &Columns) -> Result<(Revision, Change)> {
    let totals = totals(columns, 6)?;
    let change = Change {
        key: document(column(columns, 1)?, column(columns, 2)?)?,
        kind: kind(column(columns, 3)?)?,
        updated_ms: number(column(columns, 4)?),
        updated_by: actor(column(columns, 5)?)?,
        totals,
    };
    Ok((revision(columns, 0)?, change))
}

/// Returns what is held in the columns `documents, bytes, tombstones, history` from `at` on.
fn totals(columns: &Columns, at: usize) -> Result<Totals> {
    Ok(Totals {
        documents: number(column(columns, at)?),
        bytes: number(column(columns, at + 1)?),
        tombstones: number(column(columns, at + 2)?),
        history_bytes: number(column(columns, at + 3)?),
    })
}

/// Returns the head in the columns `seq, updated, documents, bytes, tombstones, history` from `at` on.
pub(super) fn head(columns: &Columns, at: usize) -> Result<Head> {
    Ok(Head {
        revision: revision(columns, at)?,
        updated_ms: number(column(columns, at + 1)?),
        totals: totals(columns, at + 2)?,
    })
}

/// Where a tenant stands, with its horizons.
#[derive(Clone, Copy, Default)]
pub(super) struct Stand {
    pub(super) head: Head,
    /// The last revision of a tombstone that was removed.
    pub(super) horizon: Revision,
    /// The same of an entry of history.
    pub(super) history_horizon: Revision,
}

/// Returns where a tenant stands, from a row of a head.
pub(super) fn stand(columns: &Columns) -> Result<Stand> {
    Ok(Stand {
        head: head(columns, 0)?,
        horizon: revision(columns, 6)?,
        history_horizon: revision(columns, 7)?,
    })
}

pub(super) fn kind_number(kind: ChangeKind) -> i16 {
    match kind {
        ChangeKind::Put => 0,
        ChangeKind::Merged => 1,
        ChangeKind::Deleted => 2,
    }
}

pub(super) fn kind(number: i16) -> Result<ChangeKind> {
    match number {
        0 => Ok(ChangeKind::Put),
        1 => Ok(ChangeKind::Merged),
        2 => Ok(ChangeKind::Deleted),
        _ => Err(damaged("a row", "it was written by no verb")),
    }
}

pub(super) fn actor(name: &[u8]) -> Result<Actor> {
    let name = std::str::from_utf8(name).ok().and_then(|name| Actor::parse(name).ok());
    name.ok_or_else(|| damaged("a row", "it was written by nobody"))
}
