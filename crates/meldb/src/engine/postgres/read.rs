//! Reads: a statement each.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    breaker::Access,
    commit::{Names, place},
    database::{Param, damaged, params, patiently},
    failure::Failure,
    rows::{self, Stand, Stored, column, limit, number},
    statements,
    upkeep::{place_in_time, place_in_time_of},
};
use crate::{
    engine::{Change, CollectionTotals, Entry, Expired, Head, PageSize, Row, ScanPage},
    types::{CollectionName, DocumentKey, IdRange, Result, Revision, TenantId},
};

/// How many heads are read at a time.
const LOOKS_MAX: usize = 8;

impl PostgresEngine {
    pub(super) fn read_row(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
    ) -> Result<Option<Row>> {
        let (collection, id) = rows::names_of(document);
        let params = params![rows::shard(tenant), rows::part(tenant), collection, id];
        let found = self.read_of(tenant, || self.database.read(statements::GET, params))?;
        found.first().map(|columns| rows::row(columns, 0, tenant, document)).transpose()
    }

    pub(super) fn read_page(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage> {
        let name: Vec<u8> = collection.as_str().into();
        let before: Vec<u8> = range.bytes_before();
        // No id has such a byte.
        let behind: Vec<u8> = range.bytes_behind().unwrap_or_else(|| vec![u8::MAX]);
        // One more than the page holds tells whether the collection goes on.
        let documents_max = limit(page.documents_max).saturating_add(1);
        let params = params![
            rows::shard(tenant),
            rows::part(tenant),
            name.clone(),
            before,
            documents_max,
            limit(page.bytes_max),
            rows::integer(page.now_ms),
            behind
        ];
        let statement = match range.is_reversed {
            false => statements::SCAN,
            true => statements::SCAN_BACK,
        };
        let found = self.read_of(tenant, || self.database.read(statement, params))?;
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

    pub(super) fn read_collections(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64,
    ) -> Result<Vec<CollectionName>> {
        let mut collections: Vec<CollectionName> = Vec::new();
        while collections.len() < collections_max {
            let last = collections.last().or(after);
            let last: Vec<u8> = last.map(|name| name.as_str().into()).unwrap_or_default();
            let (shard, part) = (rows::shard(tenant), rows::part(tenant));
            let params = params![shard, part, last, rows::integer(now_ms)];
            let read = || self.database.read(statements::NEXT_COLLECTION, params);
            let found = self.read_of(tenant, read)?;
            let Some(columns) = found.first() else { break };
            let name: &[u8] = column(columns, 0)?;
            let name =
                std::str::from_utf8(name).ok().and_then(|name| CollectionName::parse(name).ok());
            let what = || format!("the name of a collection of {tenant}");
            collections.push(name.ok_or_else(|| damaged(what(), "it is none"))?);
        }
        Ok(collections)
    }

    pub(super) fn read_collection_totals(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        now_ms: u64,
    ) -> Result<CollectionTotals> {
        let name: Vec<u8> = collection.as_str().into();
        let (shard, part) = (rows::shard(tenant), rows::part(tenant));
        let params = params![shard, part, name, rows::integer(now_ms)];
        let read = || self.database.read(statements::COLLECTION_TOTALS, params);
        let found = self.read_of(tenant, read)?;
        let Some(columns) = found.first() else { return Ok(CollectionTotals::default()) };
        Ok(CollectionTotals {
            documents: number(column(columns, 0)?),
            bytes: number(column(columns, 1)?),
        })
    }

    pub(super) fn read_changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>> {
        let (shard, part) = (rows::shard(tenant), rows::part(tenant));
        let params = params![shard, part, rows::integer(after.get()), limit(changes_max)];
        let found = self.read_of(tenant, || self.database.read(statements::CHANGES, params))?;
        found.iter().map(rows::change).collect()
    }

    pub(super) fn read_rows(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>> {
        let names = Names::of(documents.iter().map(|document| (tenant, *document)));
        let statement = self.statement(statements::GROUP_ROWS, statements::GROUP_ROWS_OF_ONE);
        let params = names.params(self.shard_of(tenant));
        let mut rows: Vec<_> = documents.iter().map(|_| None).collect();
        for columns in &self.read_of(tenant, || self.database.read(statement, params))? {
            let place = place(columns)?;
            rows[place] = Some(rows::row(columns, 1, tenant, documents[place])?);
        }
        Ok(rows)
    }

    pub(super) fn read_entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>> {
        let (shard, part) = (rows::shard(tenant), rows::part(tenant));
        let params = params![shard, part, rows::integer(after.get())];
        let entry = |columns| {
            let (revision, change) = rows::change(columns)?;
            let row = rows::row(columns, 10, tenant, &change.key)?;
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

    /// Returns where a tenant stands, with its horizons.
    pub(super) fn read_stand(&self, tenant: &TenantId) -> Result<Stand> {
        let params = || params![rows::shard(tenant), rows::part(tenant)];
        let found = self.read_of(tenant, || self.database.read(statements::HEAD, params()))?;
        found.first().map_or(Ok(Stand::default()), rows::stand)
    }

    /// Returns where each of several tenants stands. On one server that is one statement; in a distributed
    /// store one for each, because a server that does not answer would fail all of them.
    pub(super) fn read_heads(&self, tenants: &[TenantId]) -> Vec<Result<Head>> {
        if self.distributed {
            return self.read_heads_apart(tenants);
        }
        let heads = || -> Result<HashMap<TenantId, Head>> {
            let parts: Vec<_> = tenants.iter().map(rows::part).collect();
            let found = self.database.read(statements::HEADS, params![parts]);
            let head = |columns| Ok((rows::tenant(column(columns, 8)?)?, rows::head(columns, 0)?));
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
        let names = |tenant| (rows::shard(tenant), rows::part(tenant));
        let asked: Vec<_> = asked.map(|(tenant, refused)| (names(tenant), refused)).collect();
        let connections = self.database.connections();
        let read = self.database.run(async move {
            type Asked = ((Vec<u8>, Vec<u8>), Option<Failure>);
            let head = async |((shard, part), refused): Asked| match refused {
                Some(failure) => Err(failure),
                None => {
                    let limit = connections.patience.probe();
                    let params: Vec<Param> = params![shard, part];
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
            let (part, collection, id) = rows::names(columns)?;
            let (tenant, key) = (rows::tenant(&part)?, rows::document(&collection, &id)?);
            let row = rows::row(columns, 3, &tenant, &key)?;
            let expires = rows::integer(row.expires_ms.unwrap_or_default());
            let place = place_in_time(expires, &part, rows::integer(row.revision.get()));
            expired.next = (found.len() == documents_max).then_some(place);
            expired.documents.push((tenant, key, row));
        }
        Ok(expired)
    }
}
