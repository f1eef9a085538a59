//! Every statement that is sent to the database, in one place.
//!
//! Only SQL that PostgreSQL, Citus and the systems that speak its protocol share: no volatile
//! functions in writes, no advisory locks, no LISTEN, no two data-modifying parts on one table, and
//! names as `bytea`, so that no collation has a say. A test holds every statement to that.
//!
//! A tenant and its receipts are two parts of one shard, which has the tenant's name. Statements about them name
//! it in `shard = $n`, or insert `VALUES` of it, which is how Citus finds the server. Those of a group exist
//! twice: for many shards at once, and for the one that a group is of in a distributed store.

mod history;
mod insert;

use std::time::Duration;

pub(super) use history::*;
pub(super) use insert::InsertRows;

/// Asks for plans that look rows up by their indexes, whatever the statistics say so far: a plan
/// that was made for an empty table would otherwise walk a full one.
pub(super) const PLANNING: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET jit = off; \
     SET idle_in_transaction_session_timeout = '10s'";

/// Plans a statement once for each connection, not for each set of values: a commit's takes longer to plan than
/// to run. Citus finds the shard of a statement from its values, and goes on planning as it does.
pub(super) const PLAN_ONCE: &str = "SELECT set_config('plan_cache_mode', 'force_generic_plan', false) \
     WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')";

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
        shard bytea NOT NULL,
        part bytea NOT NULL,
        seq bigint NOT NULL,
        updated bigint NOT NULL,
        documents bigint NOT NULL,
        bytes bigint NOT NULL,
        tombstones bigint NOT NULL,
        history bigint NOT NULL,
        horizon bigint NOT NULL,
        history_horizon bigint NOT NULL,
        PRIMARY KEY (part, shard)
    )",
    "CREATE TABLE IF NOT EXISTS meldb.doc (
        shard bytea NOT NULL,
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
        PRIMARY KEY (part, coll, id, shard)
    )",
    "CREATE INDEX IF NOT EXISTS doc_feed ON meldb.doc (part, rev)",
    "CREATE INDEX IF NOT EXISTS doc_tombstones ON meldb.doc (updated, part, rev) WHERE deleted",
    "CREATE INDEX IF NOT EXISTS doc_expiries ON meldb.doc (expires, part, rev)
        WHERE expires IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS meldb.history (
        shard bytea NOT NULL,
        coll bytea NOT NULL,
        id bytea NOT NULL,
        rev bigint NOT NULL,
        sum bigint NOT NULL,
        entry bytea NOT NULL,
        PRIMARY KEY (shard, rev)
    )",
    "CREATE INDEX IF NOT EXISTS history_document ON meldb.history (shard, coll, id, rev)",
    "CREATE TABLE IF NOT EXISTS meldb.format (
        version integer PRIMARY KEY,
        distributed boolean NOT NULL
    )",
];

/// Says which layout the tables have.
pub(super) const SET_FORMAT: &str =
    "INSERT INTO meldb.format (version, distributed) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// Spreads the tables over the workers of Citus, the rows of a shard in all of them on the same one.
pub(super) const DISTRIBUTE: &[&str] = &[
    "CREATE EXTENSION IF NOT EXISTS citus",
    "SELECT create_distributed_table('meldb.feed_head', 'shard')",
    "SELECT create_distributed_table('meldb.doc', 'shard', colocate_with => 'meldb.feed_head')",
    "SELECT create_distributed_table('meldb.history', 'shard', colocate_with => 'meldb.feed_head')",
    "SELECT create_reference_table('meldb.format')",
];

/// Says that the tables are being filled, and later that they are a store.
pub(super) const CHANGE_FORMAT: &str = "UPDATE meldb.format SET version = $1";

/// Empties the tables, of which nobody has ever been told.
pub(super) const EMPTY: &str = "TRUNCATE meldb.doc, meldb.feed_head, meldb.history";

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
     WHERE shard = $1 AND part = $2 AND coll = $3 AND id = $4";

/// A page of a collection between two ids. The page ends behind `$6` bytes; `found` says how many
/// documents it would have had without that.
pub(super) const SCAN: &str = "SELECT id, rev, updated, sum, body, expires, found FROM (
        SELECT id, rev, updated, sum, body, expires, count(*) OVER () AS found,
            sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before
        FROM (
            SELECT id, rev, updated, sum, body, expires FROM meldb.doc
            WHERE shard = $1 AND part = $2 AND coll = $3 AND id > $4 AND id < $8 AND NOT deleted
                AND (expires IS NULL OR expires > $7)
            ORDER BY id LIMIT $5
        ) AS page
    ) AS counted WHERE before < $6 ORDER BY id";

/// As [`SCAN`], from the end.
pub(super) const SCAN_BACK: &str = "SELECT id, rev, updated, sum, body, expires, found FROM (
        SELECT id, rev, updated, sum, body, expires, count(*) OVER () AS found,
            sum(octet_length(body)) OVER (ORDER BY id DESC) - octet_length(body) AS before
        FROM (
            SELECT id, rev, updated, sum, body, expires FROM meldb.doc
            WHERE shard = $1 AND part = $2 AND coll = $3 AND id > $4 AND id < $8 AND NOT deleted
                AND (expires IS NULL OR expires > $7)
            ORDER BY id DESC LIMIT $5
        ) AS page
    ) AS counted WHERE before < $6 ORDER BY id DESC";

/// The collection behind another one that has documents.
pub(super) const NEXT_COLLECTION: &str = "SELECT coll FROM meldb.doc \
     WHERE shard = $1 AND part = $2 AND coll > $3 AND NOT deleted \
     AND (expires IS NULL OR expires > $4) ORDER BY coll LIMIT 1";

/// How many documents a collection has, and how many bytes.
pub(super) const COLLECTION_TOTALS: &str = "SELECT count(*), \
     coalesce(sum(octet_length(body)), 0)::bigint FROM meldb.doc \
     WHERE shard = $1 AND part = $2 AND coll = $3 AND NOT deleted \
     AND (expires IS NULL OR expires > $4)";

/// Changes behind a revision, with what the tenant holds.
pub(super) const CHANGES: &str = "SELECT d.rev, d.coll, d.id, d.kind, d.updated, d.actor, \
     h.documents, h.bytes, h.tombstones, h.history \
     FROM meldb.doc AS d JOIN meldb.feed_head AS h ON h.part = d.part \
     WHERE d.shard = $1 AND h.shard = $1 AND d.part = $2 AND h.part = $2 AND d.rev > $3 \
     ORDER BY d.rev LIMIT $4";

/// As [`CHANGES`], with the documents, all that there are, as of one moment.
pub(super) const ENTRIES: &str = "SELECT d.rev, d.coll, d.id, d.kind, d.updated, d.actor, \
     h.documents, h.bytes, h.tombstones, h.history, \
     d.rev, d.updated, d.deleted, d.sum, d.body, d.expires \
     FROM meldb.doc AS d JOIN meldb.feed_head AS h ON h.part = d.part \
     WHERE d.shard = $1 AND h.shard = $1 AND d.part = $2 AND h.part = $2 AND d.rev > $3 \
     ORDER BY d.rev";

/// Everything, in the order of the primary key, a page at a time.
pub(super) const WALK: &str = "SELECT part, coll, id, rev, updated, kind, actor, deleted, sum, body, \
     expires \
     FROM meldb.doc WHERE (part, coll, id) > ($1, $2, $3) ORDER BY part, coll, id LIMIT $4";

/// As [`WALK`], of one tenant.
pub(super) const WALK_TENANT: &str = "SELECT part, coll, id, rev, updated, kind, actor, deleted, sum, \
     body, expires FROM meldb.doc \
     WHERE shard = $1 AND part = $2 AND (coll, id) > ($3, $4) ORDER BY coll, id LIMIT $5";

/// A row of a tenant that has no head.
pub(super) const ORPHAN: &str = "SELECT d.part, d.coll, d.id FROM meldb.doc AS d \
     LEFT JOIN meldb.feed_head AS h ON h.shard = d.shard AND h.part = d.part \
     WHERE h.part IS NULL LIMIT 1";

/// Where a tenant stands.
macro_rules! head {
    ($which:literal) => {
        concat!(
            "SELECT seq, updated, documents, bytes, tombstones, history, horizon, history_horizon, \
             part FROM meldb.feed_head WHERE ",
            $which
        )
    };
}

pub(super) const HEAD: &str = head!("shard = $1 AND part = $2");

/// Where the tenants of a group stand.
pub(super) const HEADS: &str = head!("part = ANY($1)");
pub(super) const HEADS_OF_ONE: &str = head!("part = ANY($1) AND shard = $2");

/// Keeps others from writing to tenants until the transaction ends: every commit goes through the
/// heads of its tenants.
pub(super) const HOLD: &str = head!("part = ANY($1) ORDER BY part FOR UPDATE");
pub(super) const HOLD_OF_ONE: &str =
    head!("part = ANY($1) AND shard = $2 ORDER BY part FOR UPDATE");
pub(super) const HOLD_ONE: &str = head!("shard = $1 AND part = $2 FOR UPDATE");

/// The tenants that were ever written to, behind one of them.
pub(super) const TENANTS: &str = "SELECT part FROM meldb.feed_head WHERE part > $1 AND seq > 0 \
     ORDER BY part LIMIT $2";

/// Gives tenants that have none a head, at zero.
pub(super) const NEW_HEADS: &str = "INSERT INTO meldb.feed_head \
     (shard, part, seq, updated, documents, bytes, tombstones, history, horizon, history_horizon) \
     SELECT t.shard, t.part, 0, 0, 0, 0, 0, 0, 0, 0 \
     FROM unnest($1::bytea[], $2::bytea[]) AS t(shard, part) ON CONFLICT (part, shard) DO NOTHING";

/// Gives a tenant that has none a head, at zero.
pub(super) const NEW_HEAD: &str = "INSERT INTO meldb.feed_head \
     (shard, part, seq, updated, documents, bytes, tombstones, history, horizon, history_horizon) \
     VALUES ($1, $2, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (part, shard) DO NOTHING";

/// Gives documents that have none a row at revision 0, for [`COMMIT_GROUP`] to fill in the same
/// transaction.
pub(super) const NEW_ROWS: &str = "INSERT INTO meldb.doc \
        (shard, part, coll, id, rev, base, updated, deleted, kind, actor, op, sum, body) \
     SELECT w.shard, w.part, w.coll, w.id, 0, 0, 0, true, 2, ''::bytea, $5::uuid, 0, ''::bytea \
     FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) AS w(shard, part, coll, id) \
     ON CONFLICT (part, coll, id, shard) DO NOTHING";

/// As [`NEW_ROWS`], of one tenant.
pub(super) static NEW_ROWS_OF_ONE: InsertRows = InsertRows::new(
    "INSERT INTO meldb.doc \
        (shard, part, op, coll, id, rev, base, updated, deleted, kind, actor, sum, body)",
    "($1, $2, $3, ?, ?, 0, 0, 0, true, 2, ''::bytea, 0, ''::bytea)",
    "ON CONFLICT (part, coll, id, shard) DO NOTHING",
);

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
    group_rows!("d.rev, d.updated, d.deleted, d.sum, d.body, d.expires", " WHERE d.shard = $4");

/// What tells whether a commit was made whose answer was lost.
pub(super) const GROUP_TRACES: &str = group_rows!("d.rev, d.base, d.op", " WHERE true");
pub(super) const GROUP_TRACES_OF_ONE: &str =
    group_rows!("d.rev, d.base, d.op", " WHERE d.shard = $4");

/// Stores a group: advances the heads of its tenants, whose locks put the revisions of a tenant in
/// the order of its commits, writes each row that is still at the revision it was read at, and puts the entries
/// of history at the revisions of their writes.
///
/// Returns for each tenant, by its place, the revision before its first write. If a row has moved
/// on, or a head (no time is stamped that is before the tenant's last), the last part fails ([`SqlState::INVALID_TEXT_REPRESENTATION`]) and nothing is stored.
///
/// [`SqlState::INVALID_TEXT_REPRESENTATION`]: tokio_postgres::error::SqlState
macro_rules! commit_group {
    ($head_of_one:literal, $doc_of_one:literal, $history:literal) => {
        concat!(
            "WITH head AS (
                UPDATE meldb.feed_head AS h
                SET seq = h.seq + t.writes, updated = t.updated,
                    documents = h.documents + t.documents, bytes = h.bytes + t.bytes,
                    tombstones = h.tombstones + t.tombstones, history = h.history + t.history
                FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                        $21::bigint[], $23::bigint[], $24::bigint[])
                    WITH ORDINALITY
                    AS t(part, writes, updated, documents, bytes, head, tombstones, history, n)
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
            )",
            $history,
            "SELECT head.n, CASE WHEN heads.number = $20::bigint AND stored.number = $19::bigint
                THEN head.seq ELSE CAST(
                    'nothing was stored: ' || CAST(stored.number AS text) || ' of '
                    || CAST($19::bigint AS text) || ' documents are as they were read, and meldb '
                    || 'reads them again' AS bigint) END
            FROM heads CROSS JOIN (SELECT count(*) AS number FROM written) AS stored
                LEFT JOIN head ON true"
        )
    };
}

pub(super) const COMMIT_GROUP: &str = commit_group!("", "", " ");
pub(super) const COMMIT_GROUP_OF_ONE: &str =
    commit_group!(" AND h.shard = $25 ", " AND d.shard = $25 ", " ");

/// As [`COMMIT_GROUP`], with entries of history.
pub(super) const COMMIT_HISTORY: &str = commit_group!(
    "",
    "",
    ", kept AS (
        INSERT INTO meldb.history (shard, coll, id, rev, sum, entry)
        SELECT k.shard, k.coll, k.id, heads.seqs[k.tenant] + k.place, k.sum, k.entry
        FROM unnest($25::integer[], $26::bytea[], $27::bytea[], $28::bytea[], $29::bigint[],
                $30::bigint[], $31::bytea[])
            AS k(tenant, shard, coll, id, place, sum, entry), heads
        WHERE heads.number = $20::bigint
    ) "
);

/// As [`COMMIT_GROUP_OF_ONE`], with entries of history, which [`PUT_HISTORY`] has put behind revision `$27` in the
/// same transaction: Citus knows no `INSERT` in a `WITH`.
pub(super) const COMMIT_HISTORY_OF_ONE: &str = commit_group!(
    " AND h.shard = $25 ",
    " AND d.shard = $25 ",
    ", kept AS (
        UPDATE meldb.history AS k SET rev = heads.seqs[$26::integer] + k.rev - $27::bigint
        FROM heads
        WHERE k.shard = $25 AND k.rev > $27::bigint AND k.rev <= $27::bigint + $28::bigint
            AND heads.number = $20::bigint
    ) "
);

/// Tombstones of deletes before a time, the oldest first, behind one of them.
pub(super) const TOMBSTONES: &str = "SELECT updated, part, rev FROM meldb.doc \
     WHERE deleted AND updated < $1 AND (updated, part, rev) > ($2, $3, $4) \
     ORDER BY updated, part, rev LIMIT $5";

/// Removes tombstones, but for those of deletes whose entries of history are kept: it is found from them.
pub(super) const REMOVE_TOMBSTONES: &str = "DELETE FROM meldb.doc AS d \
     WHERE d.shard = $1 AND d.part = $2 AND d.rev = ANY($3) AND d.deleted AND NOT EXISTS ( \
        SELECT 1 FROM meldb.history AS k \
        WHERE k.shard = $1 AND k.shard = d.part AND k.rev = d.rev \
     ) RETURNING d.rev";

/// Removes what stands at revisions of a tenant, but for the tenant's own document.
pub(super) const REMOVE_REVISIONS: &str = "DELETE FROM meldb.doc \
     WHERE shard = $1 AND part = $2 AND rev = ANY($3) AND coll <> ''::bytea";

/// The start of a tenant's change sequence, by length, and its own document wherever it is.
pub(super) const TO_ERASE: &str = "SELECT rev, coll, deleted, octet_length(body) AS bytes \
     FROM meldb.doc WHERE shard = $1 AND part = $2 AND (coll = ''::bytea OR rev <= (
        SELECT coalesce(max(rev), 0) FROM (
            SELECT rev FROM meldb.doc WHERE shard = $1 AND part = $2 ORDER BY rev LIMIT $3
        ) AS first
     )) ORDER BY rev";

pub(super) const SET_HEAD: &str = "UPDATE meldb.feed_head SET seq = $3, updated = $4, \
     documents = $5, bytes = $6, tombstones = $7, history = $8, horizon = $9, history_horizon = $10 \
     WHERE shard = $1 AND part = $2";

/// How many of some documents of a tenant are tombstones.
pub(super) const COUNT_TOMBSTONES: &str = "SELECT count(*) FROM meldb.doc AS d \
     JOIN unnest($3::bytea[], $4::bytea[]) AS t(coll, id) ON d.coll = t.coll AND d.id = t.id \
     WHERE d.shard = $1 AND d.part = $2 AND d.deleted";

/// Puts rows of a tenant in place, whatever was there.
pub(super) static PUT_ROWS: InsertRows = InsertRows::new(
    "INSERT INTO meldb.doc AS d \
        (shard, part, op, base, coll, id, rev, updated, kind, actor, sum, body, deleted, expires)",
    "($1, $2, $3, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (part, coll, id, shard) DO UPDATE SET rev = EXCLUDED.rev, base = d.rev, \
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
