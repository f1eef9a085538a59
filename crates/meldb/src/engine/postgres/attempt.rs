//! A group as it is sent to the database, as often as that takes.

use deadpool_postgres::Object;
use futures_util::future;
use tokio_postgres::Row as Columns;
use uuid::Uuid;

use super::{
    database::{Param, Statement, borrowed, inserts, params},
    failure::Failure,
    rows::{self, EntryColumns, RowColumns, integer},
    statements,
};
use crate::{
    engine::{
        RowWrite, TenantCommit, Totals,
        totals::{first_of_last, totals_after},
    },
    types::Revision,
};

/// A group with the statements that store it.
pub(super) struct Attempt {
    /// What the rows of this group are known by.
    pub(super) op: Uuid,
    /// The tenants that write.
    pub(super) tenants: Vec<AttemptTenant>,
    tenants_in_group: usize,
    commit: Statement,
    /// What is sent before it, in the same transaction: rows for the documents that have none yet, and in a
    /// distributed store the entries of history.
    inserts: Vec<Statement>,
    pub(super) rows: Vec<AttemptRow>,
    /// In a distributed store the shard that all of it is of.
    pub(super) shard: Option<Vec<u8>>,
}

/// A tenant that writes.
pub(super) struct AttemptTenant {
    /// Its place in the group.
    at: usize,
    shard: Vec<u8>,
    pub(super) part: Vec<u8>,
}

/// A row of an attempt.
pub(super) struct AttemptRow {
    /// The place of its tenant among those that write.
    pub(super) tenant: usize,
    /// How far the row's revision is behind the tenant's revision before the group.
    pub(super) place: u64,
    /// The revision it was read at; zero where there was none.
    pub(super) base: Revision,
    pub(super) collection: Vec<u8>,
    pub(super) id: Vec<u8>,
}

impl Attempt {
    pub(super) fn new(group: &[TenantCommit], distributed: bool) -> Self {
        let op = Uuid::new_v4();
        // In the order of their names, so that two processes that share tenants do not wait for each
        // other.
        let mut writing: Vec<(usize, &TenantCommit)> =
            group.iter().enumerate().filter(|(_, commit)| !commit.writes.is_empty()).collect();
        writing.sort_unstable_by_key(|(_, commit)| commit.tenant.as_str());
        let (mut heads, mut columns) = (Heads::default(), Rows::default());
        let (mut history, mut attempt_rows) = (History::default(), Vec::new());
        for (tenant, (_, commit)) in writing.iter().enumerate() {
            let firsts = first_of_last(&commit.writes);
            heads.push(commit, &firsts);
            for (index, (write, first)) in commit.writes.iter().zip(&firsts).enumerate() {
                let place = index as u64 + 1;
                history.push(commit, write, tenant, place);
                let Some(first) = *first else { continue };
                let base = commit.writes[first].base.map_or(Revision::ZERO, |base| base.revision);
                let (collection, id) = rows::names_of(&write.key);
                let row = AttemptRow { tenant, place, base, collection, id };
                columns.push(commit, write, &row);
                attempt_rows.push(row);
            }
        }
        let tenants: Vec<_> = writing
            .iter()
            .map(|(at, commit)| AttemptTenant {
                at: *at,
                shard: rows::shard(&commit.tenant),
                part: rows::part(&commit.tenant),
            })
            .collect();
        let shard = tenants.first().filter(|_| distributed).map(|tenant| tenant.shard.clone());
        let mut inserts = new_rows(&tenants, &attempt_rows, op, distributed);
        let mut values = columns.params(heads, op);
        let statement = match (&shard, history.is_empty()) {
            (None, true) => statements::COMMIT_GROUP,
            (None, false) => {
                values.extend(history.params());
                statements::COMMIT_HISTORY
            }
            (Some(shard), true) => {
                values.push(Box::new(shard.clone()));
                statements::COMMIT_GROUP_OF_ONE
            }
            (Some(shard), false) => {
                let before = revision_of_drafts(op);
                values.extend(history.params_of_drafts(shard, before));
                inserts.extend(history.drafts(shard, before));
                statements::COMMIT_HISTORY_OF_ONE
            }
        };
        Self {
            op,
            tenants,
            tenants_in_group: group.len(),
            commit: (statement, values),
            inserts,
            rows: attempt_rows,
            shard,
        }
    }

    /// Runs it, in a transaction of its own where that is needed and wanted.
    ///
    /// Returns for each tenant that writes its place, and the revision before its first write.
    pub(super) async fn run(
        &self,
        connection: &Object,
        own: bool,
    ) -> Result<Vec<Columns>, Failure> {
        let (statement, values) = &self.commit;
        let commit = connection.prepare_cached(statement).await?;
        let mut inserts = Vec::with_capacity(self.inserts.len());
        for (statement, values) in &self.inserts {
            inserts.push((connection.prepare_cached(statement).await?, borrowed(values)));
        }
        let values = borrowed(values);
        let commit = connection.query(&commit, &values);
        let inserts = inserts.iter().map(|(insert, values)| connection.execute(insert, values));
        if !own || self.inserts.is_empty() {
            future::try_join_all(inserts).await?;
            return Ok(commit.await?);
        }
        // Sent together: one round trip. After a failure of one in the middle the last one takes the
        // transaction back.
        let (begun, inserted, stored, ended) = future::join4(
            connection.batch_execute(statements::BEGIN),
            future::join_all(inserts),
            commit,
            connection.batch_execute(statements::COMMIT),
        )
        .await;
        // Without a beginning each of the others is a transaction of its own.
        begun.map_err(|error| Failure::from(error).in_doubt())?;
        inserted.into_iter().collect::<Result<Vec<_>, _>>()?;
        let stored = stored?;
        ended?;
        Ok(stored)
    }

    /// Returns the revision of each tenant's first write, for all tenants of the group.
    pub(super) fn firsts(&self, befores: &[(usize, Revision)]) -> Vec<Revision> {
        let mut firsts = vec![Revision::ZERO; self.tenants_in_group];
        for (tenant, before) in befores {
            if let Some(tenant) = self.tenants.get(*tenant) {
                firsts[tenant.at] = before.next();
            }
        }
        firsts
    }
}

/// Returns the statements that give documents a row that have none yet; in a distributed store each is about
/// one tenant.
fn new_rows(
    tenants: &[AttemptTenant],
    rows: &[AttemptRow],
    op: Uuid,
    distributed: bool,
) -> Vec<Statement> {
    let new: Vec<_> = rows.iter().filter(|row| row.base == Revision::ZERO).collect();
    if new.is_empty() {
        return Vec::new();
    }
    if !distributed {
        let shards: Vec<_> = new.iter().map(|row| tenants[row.tenant].shard.clone()).collect();
        let parts: Vec<_> = new.iter().map(|row| tenants[row.tenant].part.clone()).collect();
        let collections: Vec<_> = new.iter().map(|row| row.collection.clone()).collect();
        let ids: Vec<_> = new.iter().map(|row| row.id.clone()).collect();
        return vec![(statements::NEW_ROWS, params![shards, parts, collections, ids, op])];
    }
    let of_tenants = new.chunk_by(|one, other| one.tenant == other.tenant);
    let of_tenants = of_tenants.flat_map(|new| {
        let AttemptTenant { shard, part, .. } = &tenants[new[0].tenant];
        let names = new.iter().map(|row| params![row.collection.clone(), row.id.clone()]);
        let of_all = || params![shard.clone(), part.clone(), op];
        inserts(&statements::NEW_ROWS_OF_ONE, of_all, names.collect())
    });
    of_tenants.collect()
}

/// Returns the revision behind which the entries of history of a commit lie until they get their own: below that of
/// any write, and of any other commit.
fn revision_of_drafts(op: Uuid) -> i64 {
    i64::MIN + (op.as_u64_pair().1 >> 2).cast_signed()
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
    history: Vec<i64>,
    /// Where the heads must be; -1 for anywhere.
    heads: Vec<i64>,
}

impl Heads {
    fn push(&mut self, commit: &TenantCommit, firsts: &[Option<usize>]) {
        // The difference that the writes make, whatever the tenant holds.
        let many =
            Totals { documents: 1 << 40, bytes: 1 << 60, tombstones: 1 << 40, history_bytes: 0 };
        let totals = totals_after(many, &commit.writes, firsts);
        self.heads.push(commit.head.map_or(-1, |head| integer(head.get())));
        self.parts.push(rows::part(&commit.tenant));
        self.writes.push(commit.writes.len() as i64);
        self.updated.push(integer(commit.updated_ms));
        self.documents.push(totals.documents.cast_signed() - many.documents.cast_signed());
        self.bytes.push(totals.bytes.cast_signed() - many.bytes.cast_signed());
        self.tombstones.push(totals.tombstones.cast_signed() - many.tombstones.cast_signed());
        self.history.push(integer(totals.history_bytes));
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
    fn push(&mut self, commit: &TenantCommit, write: &RowWrite, row: &AttemptRow) {
        self.tenants.push(number_of(row.tenant));
        self.places.push(integer(row.place));
        self.bases.push(integer(row.base.get()));
        self.columns.push(&commit.tenant, commit.updated_ms, write);
    }

    fn params(self, heads: Heads, op: Uuid) -> Vec<Param> {
        let (number, heads_number) = (self.columns.parts.len() as i64, heads.parts.len() as i64);
        params![
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
            heads.history,
        ]
    }
}

/// The columns of the entries of history to put, with where each stands.
#[derive(Default)]
struct History {
    tenants: Vec<i32>,
    shards: Vec<Vec<u8>>,
    places: Vec<i64>,
    columns: EntryColumns,
}

impl History {
    fn push(&mut self, commit: &TenantCommit, write: &RowWrite, tenant: usize, place: u64) {
        let Some(entry) = &write.history else { return };
        self.tenants.push(number_of(tenant));
        self.shards.push(rows::shard(&commit.tenant));
        self.places.push(integer(place));
        self.columns.push(&commit.tenant, &write.key, entry);
    }

    fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    fn params(self) -> Vec<Param> {
        let EntryColumns { collections, ids, sums, entries } = self.columns;
        params![self.tenants, self.shards, collections, ids, self.places, sums, entries]
    }

    /// Returns the values that give drafts behind a revision the revisions of their writes.
    fn params_of_drafts(&self, shard: &[u8], before: i64) -> Vec<Param> {
        // What is internal keeps no history, so they are of one tenant.
        let (tenant, last) = (self.tenants[0], self.places.last().copied().unwrap_or_default());
        params![shard.to_vec(), tenant, before, last]
    }

    /// Returns the statements that put the entries behind a revision.
    fn drafts(self, shard: &[u8], before: i64) -> Vec<Statement> {
        let revisions = self.places.iter().map(|place| before + place);
        let rows = self.columns.at(revisions);
        inserts(&statements::PUT_HISTORY, || params![shard.to_vec()], rows)
    }
}

/// Returns the number of a tenant among those that write, counted from 1.
fn number_of(tenant: usize) -> i32 {
    i32::try_from(tenant + 1).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_lie_below_every_revision_and_apart() {
        let drafts: Vec<_> = (0..1_000).map(|_| revision_of_drafts(Uuid::new_v4())).collect();
        assert!(drafts.iter().all(|draft| *draft < -(1 << 61)));
        let mut apart = drafts.clone();
        apart.sort_unstable();
        assert!(apart.windows(2).all(|pair| pair[1] - pair[0] > 1 << 20));
    }
}
