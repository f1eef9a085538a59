//! A walk over everything that is stored, to check it.

use std::vec;

use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    database::{damaged, params},
    failure::Failure,
    rows::{self, RowNames, Stored, column, number},
    statements,
};
use crate::{
    engine::{Change, Record, RecordIter, Totals},
    types::{Result, TenantId},
};

/// How many rows are read at a time.
const WALK_ROWS: i64 = 256;
/// How many tenants are looked up at a time.
const WALK_TENANTS: usize = 256;

impl PostgresEngine {
    pub(super) fn walk(&self) -> RecordIter<'_> {
        let start = Place::Rows(RowNames::default());
        let read = Vec::new().into_iter();
        Box::new(Walk { engine: self, next: Some(start), tenants: None, read })
    }
}

/// Where a walk goes on: on one server behind this row of everything, in a distributed store behind this row of its
/// tenant, because a page that is of many tenants is asked of every server.
enum Place {
    /// Behind a document.
    Rows(RowNames),
    /// Behind an entry of history: its tenant, and its revision.
    History(Vec<u8>, i64),
}

/// A walk over all rows, each of which is a document's row and an entry of a change sequence, and over all entries
/// of history.
struct Walk<'a> {
    engine: &'a PostgresEngine,
    /// Where the next page begins; `None` at the end.
    next: Option<Place>,
    /// The tenants that come next, where they are walked over one by one.
    tenants: Option<vec::IntoIter<TenantId>>,
    read: vec::IntoIter<Result<Record>>,
}

impl Walk<'_> {
    /// Reads the next page, which may be empty, and notes where the one after it begins.
    fn page(&mut self, place: Place) -> Result<Vec<Result<Record>>> {
        let distributed = self.engine.distributed;
        match place {
            Place::Rows((part, ..)) if distributed && part.is_empty() => {
                self.next = self.next_tenant(None)?;
                Ok(Vec::new())
            }
            Place::Rows((part, collection, id)) => {
                let page = self.rows(part.clone(), collection, id)?;
                self.next = Some(match page.last() {
                    Some(last) => Place::Rows(rows::names(last)?),
                    None if distributed => Place::History(part, 0),
                    None => Place::History(Vec::new(), 0),
                });
                Ok(page.iter().flat_map(records).collect())
            }
            Place::History(part, after) => {
                let page = self.entries(part.clone(), after)?;
                self.next = match page.last() {
                    Some(last) => Some(Place::History(column(last, 3)?, column(last, 0)?)),
                    None if distributed => self.next_tenant(Some(&rows::tenant(&part)?))?,
                    None => None,
                };
                Ok(page.iter().map(history_record).collect())
            }
        }
    }

    fn rows(&self, part: Vec<u8>, collection: Vec<u8>, id: Vec<u8>) -> Result<Vec<Columns>> {
        let engine = self.engine;
        if !engine.distributed {
            let params = params![part, collection, id, WALK_ROWS];
            return engine.database.read(statements::WALK, params).map_err(Failure::into_error);
        }
        let tenant = rows::tenant(&part)?;
        let params = params![rows::shard(&tenant), part, collection, id, WALK_ROWS];
        engine.read_of(&tenant, || engine.database.read(statements::WALK_TENANT, params))
    }

    fn entries(&self, part: Vec<u8>, after: i64) -> Result<Vec<Columns>> {
        let (engine, params) = (self.engine, params![part.clone(), after, WALK_ROWS]);
        if !engine.distributed {
            let page = engine.database.read(statements::WALK_HISTORY, params);
            return page.map_err(Failure::into_error);
        }
        let read = || engine.database.read(statements::WALK_TENANT_HISTORY, params);
        engine.read_of(&rows::tenant(&part)?, read)
    }

    /// Returns the start of the next tenant. At the end it looks for rows of a tenant that is none.
    fn next_tenant(&mut self, after: Option<&TenantId>) -> Result<Option<Place>> {
        let next = match self.tenants.as_mut().and_then(Iterator::next) {
            Some(next) => Some(next),
            None => {
                let tenants = self.engine.read_tenants(after, WALK_TENANTS)?;
                self.tenants.insert(tenants.into_iter()).next()
            }
        };
        if let Some(next) = next {
            return Ok(Some(Place::Rows((rows::part(&next), Vec::new(), Vec::new()))));
        }
        let found = self.engine.database.read(statements::ORPHAN, Vec::new());
        if let Some(columns) = found.map_err(Failure::into_error)?.first() {
            let part = String::from_utf8_lossy(column(columns, 0)?).into_owned();
            return Err(damaged(format!("the tenant {part}"), "it has rows and no head"));
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        loop {
            if let Some(record) = self.read.next() {
                return Some(record);
            }
            let place = self.next.take()?;
            match self.page(place) {
                Ok(page) => self.read = page.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Returns what a row of [`WALK`](statements::WALK) holds.
fn records(columns: &Columns) -> Vec<Result<Record>> {
    let both = || -> Result<[Result<Record>; 2]> {
        let (part, collection, id) = rows::names(columns)?;
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

/// Returns what a row of [`WALK_HISTORY`](statements::WALK_HISTORY) holds.
fn history_record(columns: &Columns) -> Result<Record> {
    let tenant = rows::tenant(column(columns, 3)?)?;
    let (revision, entry) = rows::entry(columns, &tenant)?;
    Ok(Record::History { tenant, revision, entry })
}
