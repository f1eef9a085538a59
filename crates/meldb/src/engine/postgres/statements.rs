//! Every statement that is sent to the database, in one place.
//!
//! Only SQL that PostgreSQL, Citus and the systems that speak its protocol share: no volatile
//! functions in writes, no advisory locks, no LISTEN, no two data-modifying parts on one table, and
//! names as `bytea`, so that no collation has a say. A test holds every statement to that.
//!
//! Statements about one tenant name it in `part = $1`, which is how Citus finds the shard. Those of a
//! group exist twice: for many tenants at once, and for one tenant of a distributed store.

use std::{sync::OnceLock, time::Duration};

/// Asks for plans that look rows up by their indexes, whatever the statistics say so far: a plan
/// that was made for an empty table would otherwise walk a full one.
pub(super) const PLANNING: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET jit = off; \
     SET idle_in_transaction_session_timeout = '10s'";

/// Undoes a server's or role's `synchronous_commit = off`; any other setting is left as it is.
pub(super) const SYNCHRONOUS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

/// Whether the server itself syncs.
pub(super) const FSYNC: &str = "SELECT current_setting('fsync')";

/// Whether the workers of Citus sync: a row for each, with what it says.
pub(super) const WORKERS: &str = "SELECT nodename || ':' || nodeport, result FROM run_command_on_workers( \
     'SELECT current_setting(''fsync'') || '' '' || current_setting(''synchronous_commit'')') \
     WHERE success";

/// The layout of the tables; none, where there are no tables.
pub(super) const FORMAT: &str = "SELECT version, distributed FROM meldb.format";

/// Makes the tables, each only if it is missing.
pub(super) const MIGRATE: &[&str] = &[
    "CREATE SCHEMA IF NOT EXISTS meldb",
    "CREATE TABLE IF NOT EXISTS meldb.feed_head (
        part bytea PRIMARY KEY,
        seq bigint NOT NULL,
        updated bigint NOT NULL,
        documents bigint NOT NULL,
        bytes bigint NOT NULL,
        tombstones bigint NOT NULL,
        horizon bigint NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS meldb.doc (
        part bytea NOT NULL,
        coll bytea NOT NULL,
        id bytea NOT NULL,
        rev bigint NOT NULL,
        base bigint NOT NULL,
        updated bigint NOT NULL,
        deleted boolean NOT NULL,
        kind smallint NOT NULL,
        actor bytea NOT NULL,
        op uuid NOT NULL,
        sum bigint NOT NULL,
        expires bigint,
        body bytea NOT NULL,
        PRIMARY KEY (part, coll, id)
    )",
    "CREATE INDEX IF NOT EXISTS doc_feed ON meldb.doc (part, rev)",
    "CREATE INDEX IF NOT EXISTS doc_tombstones ON meldb.doc (updated, part, rev) WHERE deleted",
    "CREATE INDEX IF NOT EXISTS doc_expiries ON meldb.doc (expires, part, rev)
        WHERE expires IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS meldb.format (
        version integer PRIMARY KEY,
        distributed boolean NOT NULL
    )",
];

/// Says which layout the tables have.
pub(super) const SET_FORMAT: &str =
    "INSERT INTO meldb.format (version, distributed) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// Spreads the tables over the workers of Citus, a tenant's rows of both on the same one.
pub(super) const DISTRIBUTE: &[&str] = &[
    "CREATE EXTENSION IF NOT EXISTS citus",
    "SELECT create_distributed_table('meldb.feed_head', 'part')",
    "SELECT create_distributed_table('meldb.doc', 'part', colocate_with => 'meldb.feed_head')",
    "SELECT create_reference_table('meldb.format')",
];

/// Says that the tables are being filled, and later that they are a store.
pub(super) const CHANGE_FORMAT: &str = "UPDATE meldb.format SET version = $1";

/// Empties the tables, of which nobody has ever been told.
pub(super) const EMPTY: &str = "TRUNCATE meldb.doc, meldb.feed_head";

/// Returns what ends a statement that takes too long, or waits too long for a lock.
///
/// IMPORTANT: of Citus these are about the coordinator, which ends what it has asked of a worker.
pub(super) fn limits(statement: Duration, lock: Duration) -> String {
    let (statement_ms, lock_ms) = (statement.as_millis(), lock.as_millis());
    format!("SET statement_timeout = {statement_ms}; SET lock_timeout = {lock_ms}")
}

pub(super) const BEGIN: &str = "BEGIN";
/// Begins a transaction whose statements may take as long as the client waits for them.
pub(super) const BEGIN_LONG: &str = "BEGIN; SET LOCAL statement_timeout = 0";
/// Lets the rest of a transaction take as long as it takes.
pub(super) const UNLIMITED: &str = "SET LOCAL statement_timeout = 0";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const COMMIT: &str = "COMMIT";

/// A document's row.
pub(super) const GET: &str = "SELECT rev, updated, deleted, sum, body, expires FROM meldb.doc \
     WHERE part = $1 AND coll = $2 AND id = $3";

/// A page of a collection behind an id. The page ends behind `$5` bytes; `found` says how many
/// documents it would have had without that.
pub(super) const SCAN: &str = "SELECT id, rev, updated, sum, body, expires, found FROM (
        SELECT id, rev, updated, sum, body, expires, count(*) OVER () AS found,
            sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before
        FROM (
            SELECT id, rev, updated, sum, body, expires FROM meldb.doc
            WHERE part = $1 AND coll = $2 AND id > $3 AND NOT deleted
                AND (expires IS NULL OR expires > $6)
            ORDER BY id LIMIT $4
        ) AS page
    ) AS counted WHERE before < $5 ORDER BY id";

/// Changes behind a revision, with what the tenant holds.
pub(super) const CHANGES: &str = "SELECT d.rev, d.coll, d.id, d.kind, d.updated, d.actor, \
     h.documents, h.bytes, h.tombstones \
     FROM meldb.doc AS d JOIN meldb.feed_head AS h ON h.part = d.part \
     WHERE d.part = $1 AND h.part = $1 AND d.rev > $2 ORDER BY d.rev LIMIT $3";

/// As [`CHANGES`], with the documents, all that there are, as of one moment.
pub(super) const ENTRIES: &str = "SELECT d.rev, d.coll, d.id, d.kind, d.updated, d.actor, \
     h.documents, h.bytes, h.tombstones, d.rev, d.updated, d.deleted, d.sum, d.body, d.expires \
     FROM meldb.doc AS d JOIN meldb.feed_head AS h ON h.part = d.part \
     WHERE d.part = $1 AND h.part = $1 AND d.rev > $2 ORDER BY d.rev";

/// Everything, in the order of the primary key, a page at a time.
pub(super) const WALK: &str = "SELECT part, coll, id, rev, updated, kind, actor, deleted, sum, body, \
     expires \
     FROM meldb.doc WHERE (part, coll, id) > ($1, $2, $3) ORDER BY part, coll, id LIMIT $4";

/// As [`WALK`], of one tenant.
pub(super) const WALK_TENANT: &str = "SELECT part, coll, id, rev, updated, kind, actor, deleted, sum, \
     body, expires \
     FROM meldb.doc WHERE part = $1 AND (coll, id) > ($2, $3) ORDER BY coll, id LIMIT $4";

/// A row of a tenant that has no head.
pub(super) const ORPHAN: &str = "SELECT d.part, d.coll, d.id FROM meldb.doc AS d \
     LEFT JOIN meldb.feed_head AS h ON h.part = d.part WHERE h.part IS NULL LIMIT 1";

/// Where a tenant stands.
pub(super) const HEAD: &str = "SELECT seq, updated, documents, bytes, tombstones, horizon, part \
     FROM meldb.feed_head WHERE part = $1";

/// Where the tenants of a group stand, in the columns of [`HEAD`].
pub(super) const HEADS: &str = "SELECT seq, updated, documents, bytes, tombstones, horizon, part \
     FROM meldb.feed_head WHERE part = ANY($1)";

pub(super) const TENANTS: &str = "SELECT part FROM meldb.feed_head WHERE part > $1 AND seq > 0 \
     ORDER BY part LIMIT $2";

/// Keeps others from writing to tenants until the transaction ends: every commit goes through the
/// heads of its tenants.
pub(super) const HOLD: &str = "SELECT part FROM meldb.feed_head WHERE part = ANY($1) \
     ORDER BY part FOR UPDATE";

/// Gives tenants that have none a head, at zero.
pub(super) const NEW_HEADS: &str = "INSERT INTO meldb.feed_head (part, seq, updated, documents, bytes, tombstones, horizon) \
     SELECT t.part, 0, 0, 0, 0, 0, 0 FROM unnest($1::bytea[]) AS t(part) ON CONFLICT (part) DO NOTHING";

/// Gives a tenant that has none a head, at zero.
pub(super) const NEW_HEAD: &str = "INSERT INTO meldb.feed_head \
     (part, seq, updated, documents, bytes, tombstones, horizon) VALUES ($1, 0, 0, 0, 0, 0, 0) \
     ON CONFLICT (part) DO NOTHING";

/// Gives documents that have none a row at revision 0, for [`COMMIT_GROUP`] to fill in the same
/// transaction.
pub(super) const NEW_ROWS: &str = "INSERT INTO meldb.doc \
        (part, coll, id, rev, base, updated, deleted, kind, actor, op, sum, body) \
     SELECT w.part, w.coll, w.id, 0, 0, 0, true, 2, ''::bytea, $4::uuid, 0, ''::bytea \
     FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w(part, coll, id) \
     ON CONFLICT (part, coll, id) DO NOTHING";

/// The rows of a group's documents.
macro_rules! group_rows {
    ($columns:literal, $one_tenant:literal) => {
        concat!(
            "SELECT k.n, ",
            $columns,
            " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) WITH ORDINALITY \
             AS k(part, coll, id, n) JOIN meldb.doc AS d \
             ON d.part = k.part AND d.coll = k.coll AND d.id = k.id",
            $one_tenant
        )
    };
}

pub(super) const GROUP_ROWS: &str =
    group_rows!("d.rev, d.updated, d.deleted, d.sum, d.body, d.expires", " WHERE true");
pub(super) const GROUP_ROWS_OF_ONE: &str =
    group_rows!("d.rev, d.updated, d.deleted, d.sum, d.body, d.expires", " WHERE d.part = $4");

/// What tells whether a commit was made whose answer was lost.
pub(super) const GROUP_TRACES: &str = group_rows!("d.rev, d.base, d.op", " WHERE true");
pub(super) const GROUP_TRACES_OF_ONE: &str =
    group_rows!("d.rev, d.base, d.op", " WHERE d.part = $4");

/// Stores a group: advances the heads of its tenants, whose locks put the revisions of a tenant in
/// the order of its commits, and writes each row that is still at the revision it was read at.
///
/// Returns for each tenant, by its place, the revision before its first write. If a row has moved
/// on, or a head (no time is stamped that is before the tenant's last), the last part fails ([`SqlState::INVALID_TEXT_REPRESENTATION`]) and nothing is stored.
///
/// [`SqlState::INVALID_TEXT_REPRESENTATION`]: tokio_postgres::error::SqlState
macro_rules! commit_group {
    ($head_of_one:literal, $doc_of_one:literal) => {
        concat!(
            "WITH head AS (
                UPDATE meldb.feed_head AS h
                SET seq = h.seq + t.writes, updated = t.updated,
                    documents = h.documents + t.documents, bytes = h.bytes + t.bytes,
                    tombstones = h.tombstones + t.tombstones
                FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                        $21::bigint[], $23::bigint[])
                    WITH ORDINALITY
                    AS t(part, writes, updated, documents, bytes, head, tombstones, n)
                WHERE h.part = t.part AND (t.head = h.seq OR (t.head = -1 AND h.updated <= t.updated))",
            $head_of_one,
            "   RETURNING t.n, h.seq - t.writes AS seq
            ), heads AS MATERIALIZED (
                SELECT array_agg(seq ORDER BY n) AS seqs, count(*) AS number FROM head
            ), written AS (
                UPDATE meldb.doc AS d
                SET rev = heads.seqs[w.tenant] + w.place, base = d.rev,
                    updated = w.updated, deleted = w.deleted, kind = w.kind, actor = w.actor,
                    op = $17::uuid, sum = w.sum, body = w.body,
                    expires = w.expires
                FROM unnest($6::integer[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bigint[],
                        $11::bigint[], $12::bigint[], $13::smallint[], $14::bytea[],
                        $15::bigint[], $16::bytea[], $18::boolean[], $22::bigint[])
                    AS w(tenant, part, coll, id, place, base, updated, kind, actor, sum, body,
                        deleted, expires),
                    heads
                WHERE d.part = w.part AND d.coll = w.coll AND d.id = w.id AND d.rev = w.base
                    AND heads.number = $20::bigint",
            $doc_of_one,
            "   RETURNING d.rev
            )
            SELECT head.n, CASE WHEN heads.number = $20::bigint AND stored.number = $19::bigint
                THEN head.seq ELSE CAST(
                    'nothing was stored: ' || CAST(stored.number AS text) || ' of '
                    || CAST($19::bigint AS text) || ' documents are as they were read, and meldb '
                    || 'reads them again' AS bigint) END
            FROM heads CROSS JOIN (SELECT count(*) AS number FROM written) AS stored
                LEFT JOIN head ON true"
        )
    };
}

pub(super) const COMMIT_GROUP: &str = commit_group!("", "");
pub(super) const COMMIT_GROUP_OF_ONE: &str =
    commit_group!(" AND h.part = $24 ", " AND d.part = $24 ");

/// Tombstones of deletes before a time, the oldest first, behind one of them.
pub(super) const TOMBSTONES: &str = "SELECT updated, part, rev FROM meldb.doc \
     WHERE deleted AND updated < $1 AND (updated, part, rev) > ($2, $3, $4) \
     ORDER BY updated, part, rev LIMIT $5";

pub(super) const HOLD_ONE: &str = "SELECT seq, updated, documents, bytes, tombstones, horizon \
     FROM meldb.feed_head WHERE part = $1 FOR UPDATE";

pub(super) const REMOVE_TOMBSTONES: &str = "DELETE FROM meldb.doc \
     WHERE part = $1 AND rev = ANY($2) AND deleted RETURNING rev";

/// Removes what stands at revisions of a tenant, but for the tenant's own document.
pub(super) const REMOVE_REVISIONS: &str = "DELETE FROM meldb.doc \
     WHERE part = $1 AND rev = ANY($2) AND coll <> ''::bytea";

/// The start of a tenant's change sequence, by length, and its own document wherever it is.
pub(super) const TO_ERASE: &str = "SELECT rev, coll, deleted, octet_length(body) AS bytes \
     FROM meldb.doc WHERE part = $1 AND (coll = ''::bytea OR rev <= (
        SELECT coalesce(max(rev), 0) FROM (
            SELECT rev FROM meldb.doc WHERE part = $1 ORDER BY rev LIMIT $2
        ) AS first
     )) ORDER BY rev";

pub(super) const SET_HEAD: &str = "UPDATE meldb.feed_head SET seq = $2, updated = $3, \
     documents = $4, bytes = $5, tombstones = $6, horizon = $7 WHERE part = $1";

/// How many of some documents of a tenant are tombstones.
pub(super) const COUNT_TOMBSTONES: &str = "SELECT count(*) FROM meldb.doc AS d \
     JOIN unnest($2::bytea[], $3::bytea[]) AS t(coll, id) ON d.coll = t.coll AND d.id = t.id \
     WHERE d.part = $1 AND d.deleted";

/// An insert of several rows of one tenant, written out for each number of them that is a power of two: Citus
/// sends `VALUES` to one shard, and makes a commit of two phases of an `INSERT … SELECT`.
pub(super) struct InsertRows {
    /// What is before the rows.
    head: &'static str,
    /// A row, with `?` for each of its own values.
    row: &'static str,
    tail: &'static str,
    texts: [OnceLock<String>; INSERT_SIZES],
}

/// How many sizes of an insert there are.
const INSERT_SIZES: usize = 7;

impl InsertRows {
    const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, texts: [const { OnceLock::new() }; INSERT_SIZES] }
    }

    /// Returns the largest number of rows that one of its statements has, of `rows` at most.
    pub(super) fn size(rows: usize) -> usize {
        1 << rows.max(1).ilog2().min(INSERT_SIZES as u32 - 1)
    }

    /// Returns the statement for a number of rows that [`size`](Self::size) has returned. The first two values
    /// are of all rows: the tenant, and the commit.
    pub(super) fn of(&'static self, rows: usize) -> &'static str {
        self.texts[rows.ilog2() as usize].get_or_init(|| {
            let mut value = 2;
            let row = || {
                let mut parts = self.row.split('?');
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |row, part| {
                    value += 1;
                    format!("{row}${value}{part}")
                })
            };
            let rows: Vec<_> = std::iter::repeat_with(row).take(rows).collect();
            format!("{} VALUES {} {}", self.head, rows.join(", "), self.tail)
        })
    }
}

/// As [`NEW_ROWS`], of one tenant.
pub(super) static NEW_ROWS_OF_ONE: InsertRows = InsertRows::new(
    "INSERT INTO meldb.doc \
        (part, coll, id, rev, base, updated, deleted, kind, actor, op, sum, body)",
    "($1, ?, ?, 0, 0, 0, true, 2, ''::bytea, $2, 0, ''::bytea)",
    "ON CONFLICT (part, coll, id) DO NOTHING",
);

/// Puts rows of a tenant in place, whatever was there.
pub(super) static PUT_ROWS: InsertRows = InsertRows::new(
    "INSERT INTO meldb.doc AS d \
        (part, op, base, coll, id, rev, updated, kind, actor, sum, body, deleted, expires)",
    "($1, $2, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (part, coll, id) DO UPDATE SET rev = EXCLUDED.rev, base = d.rev, \
        updated = EXCLUDED.updated, deleted = EXCLUDED.deleted, kind = EXCLUDED.kind, \
        actor = EXCLUDED.actor, op = EXCLUDED.op, sum = EXCLUDED.sum, body = EXCLUDED.body, \
        expires = EXCLUDED.expires",
);

/// Documents that have expired, the oldest first, behind one of them.
pub(super) const EXPIRED: &str = "SELECT part, coll, id, rev, updated, deleted, sum, body, expires \
     FROM meldb.doc WHERE expires <= $1 AND (expires, part, rev) > ($2, $3, $4) \
     ORDER BY expires, part, rev LIMIT $5";

#[cfg(test)]
mod tests;
