//! Statements about history alone. Those of a commit write it with the documents; see [`COMMIT_HISTORY`].
//!
//! What is internal keeps no history: the name of the shard is the tenant's.
//!
//! [`COMMIT_HISTORY`]: super::COMMIT_HISTORY

use super::InsertRows;

/// Entries of a tenant, in an order by revision. They end behind so many bytes; `found` says how many there
/// would have been without that.
macro_rules! entries {
    ($which:literal, $order:literal, $bytes_max:literal) => {
        concat!(
            "SELECT rev, sum, entry, found FROM (
                SELECT rev, sum, entry, count(*) OVER () AS found,
                    sum(octet_length(entry)) OVER (ORDER BY ",
            $order,
            ") - octet_length(entry) AS before
                FROM (SELECT rev, sum, entry FROM meldb.history WHERE ",
            $which,
            ") AS page
            ) AS counted WHERE before < ",
            $bytes_max,
            " ORDER BY ",
            $order
        )
    };
}

/// The entry at a revision.
pub(in super::super) const HISTORY_AT: &str =
    "SELECT rev, sum, entry FROM meldb.history WHERE shard = $1 AND rev = $2";

/// The entries behind a revision.
pub(in super::super) const HISTORY_AFTER: &str =
    entries!("shard = $1 AND rev > $2 ORDER BY rev LIMIT $3", "rev", "$4");

/// The entries of a document from a revision back, the latest first.
pub(in super::super) const HISTORY_OF_DOCUMENT: &str = entries!(
    "shard = $1 AND coll = $2 AND id = $3 AND rev <= $4 ORDER BY rev DESC LIMIT $5",
    "rev DESC",
    "$6"
);

/// Every tenant's, in the order of their names, a page at a time.
pub(in super::super) const WALK_HISTORY: &str = "SELECT rev, sum, entry, shard FROM meldb.history \
     WHERE (shard, rev) > ($1, $2) ORDER BY shard, rev LIMIT $3";

/// As [`WALK_HISTORY`], of one tenant.
pub(in super::super) const WALK_TENANT_HISTORY: &str = "SELECT rev, sum, entry, shard \
     FROM meldb.history WHERE shard = $1 AND rev > $2 ORDER BY rev LIMIT $3";

/// Removes entries, and returns how many bytes each had.
pub(in super::super) const REMOVE_HISTORY: &str = "DELETE FROM meldb.history \
     WHERE shard = $1 AND rev = ANY($2) RETURNING octet_length(entry)";

/// Puts entries where there are none.
pub(in super::super) static PUT_HISTORY: InsertRows = InsertRows::new(
    "INSERT INTO meldb.history (shard, coll, id, rev, sum, entry)",
    "($1, ?, ?, ?, ?, ?)",
    "",
);
