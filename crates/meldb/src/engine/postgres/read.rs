//! Reads: a statement each.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    vec,
};

use futures_util::{StreamExt, stream};
use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    breaker::Access,
    commit::{Names, place},
    database::{Param, damaged, params, patiently},
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
/// How many heads are read at a time.
const LOOKS_MAX: usize = 8;

impl PostgresEngine {
    pub(super) fn read_row(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
    ) -> Result<Option<Row>> {
        let (collection, id) = rows::names_of(document);
        let part: Vec<u8> = tenant.as_str().into();
        let params = params![part, collection, id];
        let found = self.read_of(tenant, || self.database.read(statements::GET, params))?;
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
        let found = self.read_of(tenant, || self.database.read(statements::SCAN, params))?;
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
        let found = self.read_of(tenant, || self.database.read(statements::CHANGES, params))?;
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
        for columns in &self.read_of(tenant, || self.database.read(statement, params))? {
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
        let found = self.read_of(tenant, || patiently(patience, read))?;
        found.iter().map(entry).collect()
    }

    /// Returns a tenant's head and horizon.
    pub(super) fn read_head(&self, tenant: &TenantId) -> Result<(Head, Revision)> {
        let part: Vec<u8> = tenant.as_str().into();
        let read = || self.database.read(statements::HEAD, params![part]);
        let found = self.read_of(tenant, read)?;
        match found.first() {
            Some(columns) => Ok((rows::head(columns, 0)?, rows::revision(columns, 5)?)),
            None => Ok((Head::default(), Revision::ZERO)),
        }
    }

    /// Returns where each of several tenants stands. On one server that is one statement; in a distributed
    /// store one for each, because a server that does not answer would fail all of them.
    pub(super) fn read_heads(&self, tenants: &[TenantId]) -> Vec<Result<Head>> {
        if self.distributed {
            return self.read_heads_apart(tenants);
        }
        let heads = || -> Result<HashMap<TenantId, Head>> {
            let parts: Vec<Vec<u8>> = tenants.iter().map(|tenant| tenant.as_str().into()).collect();
            let found = self.database.read(statements::HEADS, params![parts]);
            let head = |columns| Ok((rows::tenant(column(columns, 6)?)?, rows::head(columns, 0)?));
            found.map_err(Failure::into_error)?.iter().map(head).collect()
        };
        match heads() {
            Ok(heads) => {
                let head = |tenant| Ok(heads.get(tenant).copied().unwrap_or_default());
                tenants.iter().map(head).collect()
            }
            Err(error) => tenants.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn read_heads_apart(&self, tenants: &[TenantId]) -> Vec<Result<Head>> {
        let refused = tenants.iter().map(|tenant| self.refusal(tenant, Access::Look));
        let asked = tenants.iter().zip(refused);
        let asked: Vec<_> =
            asked.map(|(tenant, refused)| (Vec::from(tenant.as_str()), refused)).collect();
        let connections = self.database.connections();
        let read = self.database.run(async move {
            let head = async |(part, refused): (Vec<u8>, Option<Failure>)| match refused {
                Some(failure) => Err(failure),
                None => {
                    let limit = connections.patience.probe();
                    let params: Vec<Param> = params![part];
                    connections.query(limit, statements::HEAD, &params).await
                }
            };
            Ok(stream::iter(asked).map(head).buffered(LOOKS_MAX).collect::<Vec<_>>().await)
        });
        let read = match read {
            Ok(read) => read,
            Err(failure) => {
                let error = failure.into_error();
                return tenants.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let head = |(tenant, read): (&TenantId, Result<Vec<Columns>, Failure>)| match read {
            Ok(found) => {
                found.first().map_or(Ok(Head::default()), |columns| rows::head(columns, 0))
            }
            Err(failure) => {
                self.note(tenant, Access::Look, &failure);
                Err(failure.into_error())
            }
        };
        tenants.iter().zip(read).map(head).collect()
    }

    pub(super) fn read_tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>> {
        let after: Vec<u8> = after.map(|tenant| tenant.as_str().into()).unwrap_or_default();
        let params = params![after, limit(tenants_max)];
        let found = self.database.read(statements::TENANTS, params).map_err(Failure::into_error)?;
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
        let found = self.database.read(statements::EXPIRED, params).map_err(Failure::into_error)?;
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
        Box::new(Walk { engine: self, behind: Some(start), tenants: None, read: VecDeque::new() })
    }
}

/// The stored names of a row: tenant, collection, id.
type RowNames = (Vec<u8>, Vec<u8>, Vec<u8>);

/// How many tenants a walk looks up at a time.
const WALK_TENANTS: usize = 256;

/// A walk over all rows, each of which is a document's row and an entry of a change sequence.
struct Walk<'a> {
    engine: &'a PostgresEngine,
    /// Where the next page begins; `None` at the end.
    behind: Option<RowNames>,
    /// The tenants that come next, where they are walked over one by one.
    tenants: Option<vec::IntoIter<TenantId>>,
    read: VecDeque<vec::IntoIter<Result<Record>>>,
}

impl Walk<'_> {
    /// Reads the next page, and notes where the one after it begins.
    fn page(&mut self, behind: RowNames) -> Result<Vec<Columns>> {
        if self.engine.distributed {
            return self.page_of_tenant(behind);
        }
        let (part, collection, id) = behind;
        let params = params![part, collection, id, WALK_ROWS];
        let page = self.engine.database.read(statements::WALK, params);
        let page = page.map_err(Failure::into_error)?;
        self.behind = page.last().map(names).transpose()?;
        Ok(page)
    }

    /// In a distributed store a page that is of many tenants is asked of every server.
    fn page_of_tenant(&mut self, (part, collection, id): RowNames) -> Result<Vec<Columns>> {
        let engine = self.engine;
        let page = if part.is_empty() {
            Vec::new()
        } else {
            let (tenant, params) =
                (rows::tenant(&part)?, params![part.clone(), collection, id, WALK_ROWS]);
            engine.read_of(&tenant, || engine.database.read(statements::WALK_TENANT, params))?
        };
        if let Some(last) = page.last() {
            self.behind = Some(names(last)?);
            return Ok(page);
        }
        let next = match self.tenants.as_mut().and_then(Iterator::next) {
            Some(next) => Some(next),
            None => {
                let after = (!part.is_empty()).then(|| rows::tenant(&part)).transpose()?;
                let tenants = engine.read_tenants(after.as_ref(), WALK_TENANTS)?;
                self.tenants.insert(tenants.into_iter()).next()
            }
        };
        match next {
            Some(next) => self.behind = Some((next.as_str().into(), Vec::new(), Vec::new())),
            None => {
                let found = engine.database.read(statements::ORPHAN, Vec::new());
                if let Some(columns) = found.map_err(Failure::into_error)?.first() {
                    let part = String::from_utf8_lossy(column(columns, 0)?).into_owned();
                    return Err(damaged(format!("the tenant {part}"), "it has rows and no head"));
                }
            }
        }
        // Nothing is on this page, and more may come.
        Ok(page)
    }
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
                    let behind = self.behind.take()?;
                    match self.page(behind) {
                        Ok(page) => {
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
