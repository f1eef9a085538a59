//! Reads the base of a group and commits it: one round trip each.

use std::{any::Any, sync::Arc, thread};

use deadpool_postgres::Object;
use futures_util::future;
use tokio::time::timeout;
use tokio_postgres::Row as Columns;
use uuid::Uuid;

use super::{
    PostgresEngine,
    breaker::Access,
    database::{Held, Param, borrowed, params, patiently, query},
    failure::{Backoff, Failure},
    rows::{self, RowColumns, column, integer},
    sqlstate::Class,
    statements::{self, InsertRows},
};
use crate::{
    engine::{
        CommitError, CommitOutcome, ReadAhead, RowWrite, TenantCommit, Totals,
        totals::{first_of_last, totals_after},
    },
    types::{DocumentKey, Error, Result, Revision, TenantId},
};

/// The documents of a group by their stored names, in their order.
pub(super) struct Names {
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) collections: Vec<Vec<u8>>,
    pub(super) ids: Vec<Vec<u8>>,
}

impl Names {
    pub(super) fn of<'a>(documents: impl Iterator<Item = (&'a TenantId, &'a DocumentKey)>) -> Self {
        let (mut parts, mut collections, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, document) in documents {
            let (collection, id) = rows::names_of(document);
            parts.push(tenant.as_str().into());
            collections.push(collection);
            ids.push(id);
        }
        Self { parts, collections, ids }
    }

    /// Returns the values for a statement about these documents; in a distributed store they are all
    /// of one tenant, which it is told.
    pub(super) fn params(self, distributed: bool) -> Vec<Param> {
        let one = self.parts.first().cloned().unwrap_or_default();
        let mut params = params![self.parts, self.collections, self.ids];
        if distributed {
            params.push(Box::new(one));
        }
        params
    }
}

/// A connection that holds tenants, their heads, and the rows of a group.
type HeldRead = (Option<Held>, Vec<Columns>, Vec<Columns>);

impl PostgresEngine {
    pub(super) fn read_group(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool,
    ) -> Result<ReadAhead> {
        let mut tenants: Vec<_> = documents.iter().map(|(tenant, _)| *tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let parts: Vec<Vec<u8>> = tenants.iter().map(|tenant| tenant.as_str().into()).collect();
        let names = Names::of(documents.iter().copied());
        let names = names.params(self.distributed);
        let statement = self.group_rows();
        let mut ahead = ReadAhead::default();
        let read = || self.read_heads_and_rows(parts, statement, names, hold);
        let (held, heads, found) = match documents.first() {
            Some((tenant, _)) => self.read_of(tenant, read)?,
            None => return Ok(ahead),
        };
        ahead.held = held.map(|held| Box::new(held) as Box<dyn Any + Send>);
        for tenant in tenants {
            ahead.heads.insert(tenant.clone(), Default::default());
        }
        for columns in &heads {
            ahead.heads.insert(rows::tenant(column(columns, 6)?)?, rows::head(columns, 0)?);
        }
        for (tenant, document) in documents {
            ahead.rows.insert(((*tenant).clone(), (*document).clone()), None);
        }
        for columns in &found {
            let (tenant, document) = documents[place(columns)?];
            let key = (tenant.clone(), document.clone());
            match rows::row(columns, 1, tenant, document) {
                Ok(row) => ahead.rows.insert(key, Some(row)),
                // Read again on its own, so that only its own write fails.
                Err(_) => ahead.rows.remove(&key),
            };
        }
        Ok(ahead)
    }

    /// Reads where tenants stand, and rows of theirs; holds the tenants if that is asked for.
    fn read_heads_and_rows(
        &self,
        parts: Vec<Vec<u8>>,
        statement: &'static str,
        names: Vec<Param>,
        hold: bool,
    ) -> Result<HeldRead, Failure> {
        if hold {
            return self.read_held(parts, statement, names);
        }
        let (patience, distributed) = (self.database.patience(), self.distributed);
        let (names, parts) = (Arc::new(names), Arc::new(parts));
        patiently(patience.retry(), || {
            let (connections, names, parts) =
                (self.database.connections(), Arc::clone(&names), Arc::clone(&parts));
            self.database.run(async move {
                let both = async |connection: &Object| {
                    future::try_join(
                        heads(connection, &parts, distributed),
                        query(connection, statement, &names),
                    )
                    .await
                };
                let (heads, rows) = connections.within(patience.reply(), both).await?;
                Ok((None, heads, rows))
            })
        })
    }

    fn read_held(
        &self,
        parts: Vec<Vec<u8>>,
        statement: &'static str,
        names: Vec<Param>,
    ) -> Result<HeldRead, Failure> {
        self.make_heads(&parts)?;
        let mut session = self.database.begin()?;
        let mut heads = Vec::new();
        if self.distributed {
            for part in &parts {
                session.query(statements::HOLD_ONE, params![part.clone()])?;
            }
        } else {
            session.query(statements::HOLD, params![parts.clone()])?;
        }
        // IMPORTANT: read by statements that begin after the heads are held.
        if self.distributed {
            for part in parts {
                heads.extend(session.query(statements::HEAD, params![part])?);
            }
        } else {
            heads = session.query(statements::HEADS, params![parts])?;
        }
        let found = session.query(statement, names)?;
        Ok((session.into_held(), heads, found))
    }

    /// Gives tenants that have none a head, at zero.
    fn make_heads(&self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        if self.distributed {
            for part in parts {
                self.database.query(statements::NEW_HEAD, Arc::new(params![part.clone()]))?;
            }
        } else {
            self.database.query(statements::NEW_HEADS, Arc::new(params![parts.to_vec()]))?;
        }
        Ok(())
    }

    pub(super) fn commit_group(
        &self,
        group: &[TenantCommit],
        mut ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        let Some(TenantCommit { tenant, .. }) = group.first() else {
            return Ok(CommitOutcome::Committed(Vec::new()));
        };
        let held = ahead.held.take().and_then(|held| held.downcast::<Held>().ok());
        let new = |commit: &&TenantCommit| {
            ahead.heads.get(&commit.tenant).is_none_or(|head| head.revision == Revision::ZERO)
        };
        let new: Vec<Vec<u8>> = group
            .iter()
            .filter(|commit| !commit.writes.is_empty())
            .filter(new)
            .map(|commit| commit.tenant.as_str().into())
            .collect();
        let attempt = Arc::new(Attempt::new(group, self.distributed));
        let stored = self.ask(tenant, Access::Write, || {
            if held.is_none() && !new.is_empty() {
                self.make_heads(&new).map_err(Failure::before_commit)?;
            }
            self.store(&attempt, held.map(|held| *held))
        });
        let outcome = match stored {
            Ok(befores) => Ok(attempt.firsts(&befores)),
            Err(failure) if failure.is_in_doubt(self.distributed) => {
                self.resolve_in_doubt(&attempt, failure)
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(firsts) => Ok(CommitOutcome::Committed(firsts)),
            Err(failure) => match failure.class {
                Class::Moved => Ok(CommitOutcome::Conflict),
                Class::Rerun => {
                    thread::sleep(Backoff::new().pause());
                    Ok(CommitOutcome::Conflict)
                }
                Class::Lost => Err(CommitError::Unresolved(failure.cause)),
                _ => Err(CommitError::NotStarted(failure.into_error())),
            },
        }
    }

    /// Stores a group, and returns for each of its tenants that write the revision before its first
    /// write.
    pub(super) fn store(
        &self,
        attempt: &Arc<Attempt>,
        held: Option<Held>,
    ) -> Result<Vec<(usize, Revision)>, Failure> {
        let (connections, attempt) = (self.database.connections(), Arc::clone(attempt));
        let limit = self.database.patience().reply();
        let columns = self.database.run(async move {
            let Some(held) = held else {
                let run = async |connection: &Object| attempt.run(connection, true).await;
                return connections.within(limit, run).await;
            };
            let stored = timeout(limit, attempt.run(held.connection(), false)).await;
            let stored = stored.unwrap_or_else(|_| Err(Failure::silent()));
            let stored = stored.map_err(Failure::before_commit)?;
            held.commit(limit).await?;
            Ok(stored)
        })?;
        let before = |(first, columns): &(usize, Columns)| -> Result<(usize, Revision)> {
            Ok((first + place(columns)?, rows::revision(columns, 1)?))
        };
        let befores: Result<Vec<_>> = columns.iter().map(before).collect();
        let befores = befores.map_err(|error| match error {
            Error::ReadFailed { source } => Failure::unreadable(source),
            _ => Failure::ended(),
        })?;
        Ok(befores)
    }
}

/// Returns the place, counted from 0, that the first column has counted from 1.
pub(super) fn place(columns: &Columns) -> Result<usize> {
    let place: i64 = column(columns, 0)?;
    Ok(usize::try_from(place - 1).unwrap_or_default())
}

/// A group as it is sent to the database, as often as that takes.
pub(super) struct Attempt {
    /// What the rows of this group are known by.
    pub(super) op: Uuid,
    /// For each tenant that writes, its place in the group, and how many writes it has.
    tenants: Vec<(usize, usize)>,
    tenants_in_group: usize,
    /// The values of its statements: one for all tenants, or in a distributed store one for each, so that
    /// each is sent to its own shard.
    commits: Vec<Vec<Param>>,
    /// The statements that give documents a row that have none yet.
    new_rows: Vec<(&'static str, Vec<Param>)>,
    pub(super) rows: Vec<AttemptRow>,
    pub(super) distributed: bool,
}

/// A row of an attempt.
pub(super) struct AttemptRow {
    /// The place of its tenant among those that write.
    pub(super) tenant: usize,
    /// How far the row's revision is behind the tenant's revision before the group.
    pub(super) place: u64,
    /// The revision it was read at; zero where there was none.
    pub(super) base: Revision,
    pub(super) part: Vec<u8>,
    pub(super) collection: Vec<u8>,
    pub(super) id: Vec<u8>,
}

impl Attempt {
    fn new(group: &[TenantCommit], distributed: bool) -> Self {
        let op = Uuid::new_v4();
        // In the order of their names, so that two processes that share tenants do not wait for each
        // other.
        let mut writing: Vec<(usize, &TenantCommit)> =
            group.iter().enumerate().filter(|(_, commit)| !commit.writes.is_empty()).collect();
        writing.sort_unstable_by_key(|(_, commit)| commit.tenant.as_str());
        let mut parts: Vec<(Heads, Rows)> = Vec::new();
        let mut attempt_rows = Vec::new();
        for (tenant, (_, commit)) in writing.iter().enumerate() {
            if parts.is_empty() || distributed {
                parts.push(Default::default());
            }
            let Some((heads, columns)) = parts.last_mut() else { continue };
            let firsts = first_of_last(&commit.writes);
            heads.push(commit, &firsts);
            for (index, (write, first)) in commit.writes.iter().zip(&firsts).enumerate() {
                let Some(first) = *first else { continue };
                let base = commit.writes[first].base.map_or(Revision::ZERO, |base| base.revision);
                let (collection, id) = rows::names_of(&write.key);
                let row = AttemptRow {
                    tenant,
                    place: index as u64 + 1,
                    base,
                    part: commit.tenant.as_str().into(),
                    collection,
                    id,
                };
                columns.push(commit, write, &row, heads.parts.len());
                attempt_rows.push(row);
            }
        }
        let new: Vec<&AttemptRow> =
            attempt_rows.iter().filter(|row| row.base == Revision::ZERO).collect();
        let new_rows = match new.is_empty() {
            true => Vec::new(),
            false if distributed => inserts_by_tenant(&new, op),
            false => {
                let parts: Vec<_> = new.iter().map(|row| row.part.clone()).collect();
                let collections: Vec<_> = new.iter().map(|row| row.collection.clone()).collect();
                let ids: Vec<_> = new.iter().map(|row| row.id.clone()).collect();
                vec![(statements::NEW_ROWS, params![parts, collections, ids, op])]
            }
        };
        let tenants = writing.iter().map(|(at, commit)| (*at, commit.writes.len())).collect();
        let commits = parts.into_iter();
        let commits = commits.map(|(heads, rows)| rows.params(heads, op, distributed)).collect();
        Self {
            op,
            tenants,
            tenants_in_group: group.len(),
            commits,
            new_rows,
            rows: attempt_rows,
            distributed,
        }
    }

    /// Runs it, in a transaction of its own where that is needed and wanted.
    ///
    /// Returns the rows of its statements, each with the place of the statement's first tenant.
    async fn run(&self, connection: &Object, own: bool) -> Result<Vec<(usize, Columns)>, Failure> {
        let commit = connection
            .prepare_cached(match self.distributed {
                false => statements::COMMIT_GROUP,
                true => statements::COMMIT_GROUP_OF_ONE,
            })
            .await?;
        let mut inserts = Vec::with_capacity(self.new_rows.len());
        for (statement, values) in &self.new_rows {
            inserts.push((connection.prepare_cached(statement).await?, borrowed(values)));
        }
        let values: Vec<_> = self.commits.iter().map(|values| borrowed(values)).collect();
        let commits = values.iter().map(|values| connection.query(&commit, values));
        let inserts = inserts.iter().map(|(insert, values)| connection.execute(insert, values));
        // In the order of the tenants, whose first statement is at the first place.
        let in_order = |stored: Vec<Vec<Columns>>| {
            let rows = stored.into_iter().enumerate();
            rows.flat_map(|(first, rows)| rows.into_iter().map(move |row| (first, row))).collect()
        };
        if !own || (self.new_rows.is_empty() && self.commits.len() == 1) {
            future::try_join_all(inserts).await?;
            return Ok(in_order(future::try_join_all(commits).await?));
        }
        // Sent together: one round trip. After a failure of one in the middle the last one takes the
        // transaction back.
        let (begun, inserted, stored, ended) = future::join4(
            connection.batch_execute(statements::BEGIN),
            future::join_all(inserts),
            future::join_all(commits),
            connection.batch_execute(statements::COMMIT),
        )
        .await;
        // Without a beginning each of the others is a transaction of its own.
        begun.map_err(|error| Failure::from(error).in_doubt())?;
        inserted.into_iter().collect::<Result<Vec<_>, _>>()?;
        let stored = stored.into_iter().collect::<Result<Vec<_>, _>>()?;
        ended?;
        Ok(in_order(stored))
    }

    /// Returns the revision of each tenant's first write, for all tenants of the group.
    pub(super) fn firsts(&self, befores: &[(usize, Revision)]) -> Vec<Revision> {
        let mut firsts = vec![Revision::ZERO; self.tenants_in_group];
        for (tenant, before) in befores {
            if let Some((at, _)) = self.tenants.get(*tenant) {
                firsts[*at] = before.next();
            }
        }
        firsts
    }

    /// Returns how many tenants write.
    pub(super) fn tenants_writing(&self) -> usize {
        self.tenants.len()
    }
}

/// Returns the statements that give documents a row, each about one tenant.
fn inserts_by_tenant(rows: &[&AttemptRow], op: Uuid) -> Vec<(&'static str, Vec<Param>)> {
    let mut inserts = Vec::new();
    for of_tenant in rows.chunk_by(|one, other| one.part == other.part) {
        let mut left = of_tenant;
        while let [first, ..] = left {
            let (some, rest) = left.split_at(InsertRows::size(left.len()));
            let mut values = params![first.part.clone(), op];
            for row in some {
                values.extend(params![row.collection.clone(), row.id.clone()]);
            }
            inserts.push((statements::NEW_ROWS_OF_ONE.of(some.len()), values));
            left = rest;
        }
    }
    inserts
}

/// Reads where tenants stand.
async fn heads(
    connection: &Object,
    parts: &[Vec<u8>],
    distributed: bool,
) -> Result<Vec<Columns>, Failure> {
    if !distributed {
        let params: Vec<Param> = params![parts.to_vec()];
        return query(connection, statements::HEADS, &params).await;
    }
    let head = async |part: &Vec<u8>| {
        let params: Vec<Param> = params![part.clone()];
        query(connection, statements::HEAD, &params).await
    };
    let heads = future::try_join_all(parts.iter().map(head)).await?;
    Ok(heads.into_iter().flatten().collect())
}

/// The columns of the heads to advance.
#[derive(Default)]
struct Heads {
    parts: Vec<Vec<u8>>,
    writes: Vec<i64>,
    updated: Vec<i64>,
    documents: Vec<i64>,
    bytes: Vec<i64>,
    tombstones: Vec<i64>,
    /// Where the heads must be; -1 for anywhere.
    heads: Vec<i64>,
}

impl Heads {
    fn push(&mut self, commit: &TenantCommit, firsts: &[Option<usize>]) {
        // The difference that the writes make, whatever the tenant holds.
        let many =
            Totals { documents: 1 << 40, bytes: 1 << 60, tombstones: 1 << 40, ..Totals::default() };
        let totals = totals_after(many, &commit.writes, firsts);
        self.heads.push(commit.head.map_or(-1, |head| integer(head.get())));
        self.parts.push(commit.tenant.as_str().into());
        self.writes.push(commit.writes.len() as i64);
        self.updated.push(integer(commit.updated_ms));
        self.documents.push(totals.documents.cast_signed() - many.documents.cast_signed());
        self.bytes.push(totals.bytes.cast_signed() - many.bytes.cast_signed());
        self.tombstones.push(totals.tombstones.cast_signed() - many.tombstones.cast_signed());
    }
}

/// The columns of the rows to write, with where each stands.
#[derive(Default)]
struct Rows {
    tenants: Vec<i32>,
    places: Vec<i64>,
    bases: Vec<i64>,
    columns: RowColumns,
}

impl Rows {
    /// Adds a row of the tenant that is the `tenant`-th of the statement, counted from 1.
    fn push(&mut self, commit: &TenantCommit, write: &RowWrite, row: &AttemptRow, tenant: usize) {
        self.tenants.push(i32::try_from(tenant).unwrap_or(i32::MAX));
        self.places.push(integer(row.place));
        self.bases.push(integer(row.base.get()));
        self.columns.push(&commit.tenant, commit.updated_ms, write);
    }

    fn params(self, heads: Heads, op: Uuid, distributed: bool) -> Vec<Param> {
        let (number, heads_number) = (self.columns.parts.len() as i64, heads.parts.len() as i64);
        let one = heads.parts.first().cloned().unwrap_or_default();
        let mut params = params![
            heads.parts,
            heads.writes,
            heads.updated,
            heads.documents,
            heads.bytes,
            self.tenants,
            self.columns.parts,
            self.columns.collections,
            self.columns.ids,
            self.places,
            self.bases,
            self.columns.updated,
            self.columns.kinds,
            self.columns.actors,
            self.columns.sums,
            self.columns.bodies,
            op,
            self.columns.deleted,
            number,
            heads_number,
            heads.heads,
            self.columns.expires,
            heads.tombstones,
        ];
        if distributed {
            params.push(Box::new(one));
        }
        params
    }
}
