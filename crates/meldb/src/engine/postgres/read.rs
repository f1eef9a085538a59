//! Reads: a statement each.

use std::{collections::VecDeque, sync::Arc, vec};

use super::{
    PostgresEngine,
    commit::{Names, place},
    database::{params, patiently},
    failure::Failure,
    rows::{self, Stored, column, limit, number},
    statements,
    upkeep::{place_in_time, place_in_time_of},
};
use crate::{
    engine::{Change, Entry, Expired, Head, PageSize, Record, RecordIter, Row, ScanPage, Totals},
    types::{CollectionName, DocId, DocumentKey, Result, Revision, TenantId},
};

/// How many rows a walk over everything reads at a time.
const WALK_ROWS: i64 = 256;

impl PostgresEngine {
    pub(super) fn read_row(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
    ) -> Result<Option<Row>> {
        let (collection, id) = rows::names_of(document);
        let part: Vec<u8> = tenant.as_str().into();
        let found = self.database.read(statements::GET, params![part, collection, id])?;
        found.first().map(|columns| rows::row(columns, 0, tenant, document)).transpose()
    }

    pub(super) fn read_page(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage> {
        let part: Vec<u8> = tenant.as_str().into();
        let name: Vec<u8> = collection.as_str().into();
        let after: Vec<u8> = after.map(|id| id.as_str().into()).unwrap_or_default();
        // One more than the page holds tells whether the collection goes on.
        let documents_max = limit(page.documents_max).saturating_add(1);
        let params = params![
            part,
            name.clone(),
            after,
            documents_max,
            limit(page.bytes_max),
            rows::integer(page.now_ms)
        ];
        let found = self.database.read(statements::SCAN, params)?;
        let there: i64 = found.first().map_or(Ok(0), |columns| column(columns, 6))?;
        let mut documents = Vec::with_capacity(found.len());
        for columns in found.iter().take(page.documents_max) {
            let key = rows::document(&name, column(columns, 0)?)?;
            let stored = Stored {
                revision: rows::revision(columns, 1)?,
                updated: column(columns, 2)?,
                deleted: false,
                sum: column(columns, 3)?,
                body: column(columns, 4)?,
                expires: column(columns, 5)?,
            };
            let row = stored.check(tenant, &key)?;
            if let DocumentKey::Member { id, .. } = key {
                documents.push((id, row));
            }
        }
        let more = limit(documents.len()) < there;
        Ok((documents, more))
    }

    pub(super) fn read_changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>> {
        let part: Vec<u8> = tenant.as_str().into();
        let params = params![part, rows::integer(after.get()), limit(changes_max)];
        let found = self.database.read(statements::CHANGES, params)?;
        found.iter().map(rows::change).collect()
    }

    pub(super) fn read_rows(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>> {
        let names = Names::of(documents.iter().map(|document| (tenant, *document)));
        let (statement, params) = (self.group_rows(), names.params(self.distributed));
        let mut rows: Vec<_> = documents.iter().map(|_| None).collect();
        for columns in &self.database.read(statement, params)? {
            let place = place(columns)?;
            rows[place] = Some(rows::row(columns, 1, tenant, documents[place])?);
        }
        Ok(rows)
    }

    /// Returns the statement that reads the rows of several documents.
    pub(super) fn group_rows(&self) -> &'static str {
        match self.distributed {
            false => statements::GROUP_ROWS,
            true => statements::GROUP_ROWS_OF_ONE,
        }
    }

    pub(super) fn read_entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>> {
        let part: Vec<u8> = tenant.as_str().into();
        let params = params![part, rows::integer(after.get())];
        let entry = |columns| {
            let (revision, change) = rows::change(columns)?;
            let row = rows::row(columns, 9, tenant, &change.key)?;
            Ok(Entry {
                revision,
                change,
                body: row.body,
                expires_ms: row.expires_ms,
                history: None,
            })
        };
        let (params, patience) = (Arc::new(params), self.database.patience().retry());
        let read = || self.database.query_long(statements::ENTRIES, Arc::clone(&params));
        let found = patiently(patience, read).map_err(Failure::into_error)?;
        found.iter().map(entry).collect()
    }

    /// Returns a tenant's head and horizon.
    pub(super) fn read_head(&self, tenant: &TenantId) -> Result<(Head, Revision)> {
        let part: Vec<u8> = tenant.as_str().into();
        let found = self.database.read(statements::HEAD, params![part])?;
        match found.first() {
            Some(columns) => Ok((rows::head(columns, 0)?, rows::revision(columns, 5)?)),
            None => Ok((Head::default(), Revision::ZERO)),
        }
    }

    pub(super) fn read_heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Head)>> {
        let parts: Vec<Vec<u8>> = tenants.iter().map(|tenant| tenant.as_str().into()).collect();
        let found = self.database.read(statements::HEADS, params![parts])?;
        let head = |columns| Ok((rows::tenant(column(columns, 0)?)?, rows::head(columns, 1)?));
        found.iter().map(head).collect()
    }

    pub(super) fn read_tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>> {
        let after: Vec<u8> = after.map(|tenant| tenant.as_str().into()).unwrap_or_default();
        let found = self.database.read(statements::TENANTS, params![after, limit(tenants_max)])?;
        found.iter().map(|columns| rows::tenant(column(columns, 0)?)).collect()
    }

    pub(super) fn read_expired(
        &self,
        now_ms: u64,
        after: Option<&[u8]>,
        documents_max: usize,
    ) -> Result<Expired> {
        let (expires, part, revision) = place_in_time_of(after);
        let now = rows::integer(now_ms);
        let params = params![now, expires, part, revision, limit(documents_max)];
        let found = self.database.read(statements::EXPIRED, params)?;
        let mut expired = Expired::default();
        for columns in &found {
            let (part, collection, id) = names(columns)?;
            let (tenant, key) = (rows::tenant(&part)?, rows::document(&collection, &id)?);
            let row = rows::row(columns, 3, &tenant, &key)?;
            let expires = rows::integer(row.expires_ms.unwrap_or_default());
            let place = place_in_time(expires, &part, rows::integer(row.revision.get()));
            expired.next = (found.len() == documents_max).then_some(place);
            expired.documents.push((tenant, key, row));
        }
        Ok(expired)
    }

    pub(super) fn walk(&self) -> RecordIter<'_> {
        let start = (Vec::new(), Vec::new(), Vec::new());
        Box::new(Walk { engine: self, behind: Some(start), read: VecDeque::new() })
    }
}

/// The stored names of a row: tenant, collection, id.
type RowNames = (Vec<u8>, Vec<u8>, Vec<u8>);

/// A walk over all rows, each of which is a document's row and an entry of a change sequence.
struct Walk<'a> {
    engine: &'a PostgresEngine,
    /// Where the next page begins; `None` at the end.
    behind: Option<RowNames>,
    read: VecDeque<vec::IntoIter<Result<Record>>>,
}

impl Iterator for Walk<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        loop {
            match self.read.front_mut() {
                Some(records) => match records.next() {
                    Some(record) => return Some(record),
                    None => drop(self.read.pop_front()),
                },
                None => {
                    let (part, collection, id) = self.behind.take()?;
                    let params = params![part, collection, id, WALK_ROWS];
                    match self.engine.database.read(statements::WALK, params) {
                        Ok(page) => {
                            self.behind = match page.last().map(names) {
                                Some(Ok(last)) => Some(last),
                                Some(Err(error)) => return Some(Err(error)),
                                None => None,
                            };
                            self.read.extend(page.iter().map(|row| records(row).into_iter()));
                        }
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }
}

fn names(columns: &tokio_postgres::Row) -> Result<RowNames> {
    Ok((column(columns, 0)?, column(columns, 1)?, column(columns, 2)?))
}

/// Returns what a row of [`WALK`](statements::WALK) holds.
fn records(columns: &tokio_postgres::Row) -> Vec<Result<Record>> {
    let both = || -> Result<[Result<Record>; 2]> {
        let (part, collection, id) = names(columns)?;
        let (tenant, key) = (rows::tenant(&part)?, rows::document(&collection, &id)?);
        let revision = rows::revision(columns, 3)?;
        let change = Change {
            key: key.clone(),
            kind: rows::kind(column(columns, 5)?)?,
            updated_ms: number(column(columns, 4)?),
            updated_by: rows::actor(column(columns, 6)?)?,
            totals: Totals::default(),
        };
        let stored = Stored {
            revision,
            updated: column(columns, 4)?,
            deleted: column(columns, 7)?,
            sum: column(columns, 8)?,
            body: column(columns, 9)?,
            expires: column(columns, 10)?,
        };
        let row = stored.check(&tenant, &key);
        let row = row.map(|row| Record::Row { tenant: tenant.clone(), key, row });
        Ok([row, Ok(Record::Change { tenant, revision, change })])
    };
    both().map_or_else(|error| vec![Err(error)], Vec::from)
}
