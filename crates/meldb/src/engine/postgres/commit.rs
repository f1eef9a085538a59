//! Reads the base of a group and commits it: one round trip each.

use std::{any::Any, sync::Arc, thread};

use deadpool_postgres::Object;
use futures_util::future;
use tokio::time::timeout;
use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    attempt::Attempt,
    breaker::Access,
    database::{Held, Param, params, patiently, query},
    failure::{Backoff, Failure},
    rows::{self, column},
    sqlstate::Class,
    statements,
};
use crate::{
    engine::{CommitError, CommitOutcome, ReadAhead, TenantCommit},
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
    /// of one shard.
    pub(super) fn params(self, shard: Option<Vec<u8>>) -> Vec<Param> {
        with_shard(params![self.parts, self.collections, self.ids], shard)
    }
}

/// Returns the values for a statement about several tenants, which in a distributed store ends with their shard.
fn with_shard(mut values: Vec<Param>, shard: Option<Vec<u8>>) -> Vec<Param> {
    values.extend(shard.map(|shard| Box::new(shard) as Param));
    values
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
        let mut ahead = ReadAhead::default();
        let Some((first, _)) = documents.first() else { return Ok(ahead) };
        let read = || self.read_heads_and_rows(&tenants, documents, self.shard_of(first), hold);
        let (held, heads, found) = self.read_of(first, read)?;
        ahead.held = held.map(|held| Box::new(held) as Box<dyn Any + Send>);
        for tenant in tenants {
            ahead.heads.insert(tenant.clone(), Default::default());
        }
        for columns in &heads {
            ahead.heads.insert(rows::tenant(column(columns, 8)?)?, rows::head(columns, 0)?);
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

    /// Returns the shard of a tenant where a statement has to name it: in a distributed store.
    pub(super) fn shard_of(&self, tenant: &TenantId) -> Option<Vec<u8>> {
        self.distributed.then(|| rows::shard(tenant))
    }

    /// Returns the statement for many shards, or in a distributed store the one for one of them.
    pub(super) fn statement(&self, of_many: &'static str, of_one: &'static str) -> &'static str {
        if self.distributed { of_one } else { of_many }
    }

    /// Reads where tenants stand, and rows of theirs; holds the tenants if that is asked for.
    fn read_heads_and_rows(
        &self,
        tenants: &[&TenantId],
        documents: &[(&TenantId, &DocumentKey)],
        shard: Option<Vec<u8>>,
        hold: bool,
    ) -> Result<HeldRead, Failure> {
        let parts = || tenants.iter().map(|tenant| rows::part(tenant)).collect::<Vec<_>>();
        let of_heads = || with_shard(params![parts()], shard.clone());
        let names = Names::of(documents.iter().copied()).params(shard.clone());
        let heads = self.statement(statements::HEADS, statements::HEADS_OF_ONE);
        let group_rows = self.statement(statements::GROUP_ROWS, statements::GROUP_ROWS_OF_ONE);
        if hold {
            self.make_heads(tenants)?;
            let mut session = self.database.begin()?;
            let hold = self.statement(statements::HOLD, statements::HOLD_OF_ONE);
            session.query(hold, of_heads())?;
            // IMPORTANT: read by statements that begin after the heads are held.
            let heads = session.query(heads, of_heads())?;
            let found = session.query(group_rows, names)?;
            return Ok((session.into_held(), heads, found));
        }
        let patience = self.database.patience();
        let (names, of_heads) = (Arc::new(names), Arc::new(of_heads()));
        patiently(patience.retry(), || {
            let (connections, names, of_heads) =
                (self.database.connections(), Arc::clone(&names), Arc::clone(&of_heads));
            self.database.run(async move {
                let both = async |connection: &Object| {
                    future::try_join(
                        query(connection, heads, &of_heads),
                        query(connection, group_rows, &names),
                    )
                    .await
                };
                let (heads, rows) = connections.within(patience.reply(), both).await?;
                Ok((None, heads, rows))
            })
        })
    }

    /// Gives tenants that have none a head, at zero.
    fn make_heads(&self, tenants: &[&TenantId]) -> Result<(), Failure> {
        let (shards, parts): (Vec<_>, Vec<_>) =
            tenants.iter().map(|tenant| (rows::shard(tenant), rows::part(tenant))).unzip();
        if !self.distributed {
            return self
                .database
                .query(statements::NEW_HEADS, Arc::new(params![shards, parts]))
                .map(drop);
        }
        for (shard, part) in shards.into_iter().zip(parts) {
            self.database.query(statements::NEW_HEAD, Arc::new(params![shard, part]))?;
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
        let writing = group.iter().filter(|commit| !commit.writes.is_empty());
        let new: Vec<_> = writing.filter(new).map(|commit| &commit.tenant).collect();
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
        let before = |columns: &Columns| -> Result<(usize, Revision)> {
            Ok((place(columns)?, rows::revision(columns, 1)?))
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
