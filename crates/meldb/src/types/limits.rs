//! Every limit of the store, in one place.
//!
//! The limits on names are part of the key format and the same for every store; the limits on
//! documents are defaults that [`Limits`] changes for a store when it is opened.

use crate::merge::Bounds;

/// The longest collection name, in bytes.
pub const COLLECTION_NAME_BYTES_MAX: usize = 64;
/// The longest tenant id, in bytes.
pub const TENANT_ID_BYTES_MAX: usize = 64;
/// The longest document id, in bytes.
pub const DOC_ID_BYTES_MAX: usize = 255;
/// The longest actor, in bytes of UTF-8.
pub const ACTOR_BYTES_MAX: usize = 255;

/// The default of [`Limits::document_bytes_max`]: 1 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// How much longer than a document a text sent to the store may be: 64 KiB.
pub const TEXT_SLACK_BYTES: usize = 64 << 10;
/// The default of [`Limits::depth_max`].
pub const DEPTH_MAX: usize = 64;
/// The deepest nesting that [`Limits::depth_max`] can be raised to.
pub const DEPTH_CEILING: usize = crate::merge::DEPTH_CAP;
/// The default of [`Limits::member_name_bytes_max`]: 1 KiB.
pub const MEMBER_NAME_BYTES_MAX: usize = 1024;
/// The largest document that [`Limits::document_bytes_max`] can be raised to: 64 MiB.
pub const DOCUMENT_BYTES_CEILING: usize = 64 << 20;

/// The most writes of a group commit; a batch is not split.
pub const GROUP_WRITES_MAX: usize = 1024;
/// The size limit of a group commit in bytes of text, which its last write may exceed: 8 MiB.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// The most writes of one tenant in a group commit.
pub const TENANT_GROUP_WRITES_MAX: usize = 256;
/// The size limit of one tenant's part of a group commit in bytes of text: 1 MiB. Writes and bytes count
/// together: half of each is the limit too.
pub const TENANT_GROUP_BYTES_MAX: usize = 1 << 20;
/// The size limit of one tenant's part of a group commit in bytes of resulting documents: 8 MiB.
pub const TENANT_GROUP_RESULT_BYTES_MAX: usize = 8 << 20;

/// The most asynchronous writes, or batches of them, of a tenant that wait for a commit.
///
/// Writes beyond this limit and the next two are refused with [`Error::Busy`](crate::Error::Busy).
/// Blocking writes are always accepted: each one blocks a thread of its caller.
pub const QUEUE_WRITES_MAX: usize = 16_384;
/// The most bytes of text of a tenant that wait for a commit: 64 MiB.
pub const TENANT_QUEUE_BYTES_MAX: usize = 64 << 20;
/// The most bytes of text that wait for a commit: 256 MiB. A tenant of which nothing waits may
/// always add a write.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// The most operations of a batch.
pub const BATCH_OPERATIONS_MAX: usize = 1000;
/// The most bytes of a batch: of the texts sent, and of the documents to be stored: 8 MiB.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// The latest time at which a document [expires](crate::Expiry), in epoch milliseconds: what a signed integer of 64 bits
/// holds, because PostgreSQL has no other. A later one counts as this one.
pub const EXPIRY_MS_MAX: u64 = i64::MAX as u64;

/// The actor of deletes of [expired](crate::Expiry) documents in the change feed.
pub const EXPIRY_ACTOR: &str = "meldb:expiry";

/// How many deleted documents and receipts of requests with idempotency keys a tenant with a
/// [`Quota`](crate::Quota) may have beside its documents, whatever the quota is.
pub const QUOTA_REMAINS_MIN: u64 = 1_000;
/// How many more of them it may have for each document of its quota.
pub const QUOTA_REMAINS_PER_DOCUMENT: u64 = 10;
/// Bytes of quota for each further document, deleted document or receipt: fewer than the shortest document
/// has.
pub const QUOTA_BYTES_PER_ENTRY: u64 = 32;
/// The default of [`Builder::memory_bytes`](crate::Builder::memory_bytes): 256 MiB.
pub const MEMORY_BYTES: u64 = 256 << 20;

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 512;
/// The most receipts of a tenant: requests with an idempotency key that are remembered.
pub const RECEIPTS_MAX: u64 = 100_000;
/// The bytes of receipts of a tenant above which no further one is taken: 256 MiB.
pub const RECEIPT_BYTES_MAX: u64 = 256 << 20;

/// The most replaced versions of documents that are kept for [`Condition::Unchanged`].
///
/// [`Condition::Unchanged`]: crate::Condition::Unchanged
pub const VERSIONS_MAX: usize = 4096;
/// The most bytes of such versions: 16 MiB.
pub const VERSIONS_BYTES_MAX: usize = 16 << 20;

/// The longest text of a filter, a sort order or a list of fields, in bytes: 64 KiB.
pub const QUERY_BYTES_MAX: usize = 64 << 10;
/// The most conditions of a filter.
pub const FILTER_TERMS_MAX: usize = 100;
/// The most values of an `in`.
pub const FILTER_VALUES_MAX: usize = 1000;
/// How deep the brackets of a filter may nest.
pub const FILTER_DEPTH_MAX: usize = 16;
/// The most keys of a sort order.
pub const SORT_KEYS_MAX: usize = 8;
/// The most fields that a projection names.
pub const PROJECTION_FIELDS_MAX: usize = 100;
/// The most fields of an index.
pub const INDEX_FIELDS_MAX: usize = 8;
/// The most indexes of a collection.
pub const INDEXES_MAX: usize = 32;
/// The longest name of an index, in bytes.
pub const INDEX_NAME_BYTES_MAX: usize = 64;
/// How much of a document's values an index has, in bytes of its own form. Documents whose values begin alike and are
/// longer are compared themselves.
pub const INDEX_VALUES_BYTES_MAX: usize = 512;
/// The most entries of an index that are sorted in memory for one page of a query.
pub const INDEX_GATHERED_MAX: usize = 10_000;

/// The most documents that are looked at for one page of a query, unless another budget is given.
pub const EXAMINED_MAX: usize = 100_000;
/// The bytes of text after which no further document is looked at for a page of a query, unless another budget is
/// given: 256 MiB.
pub const EXAMINED_BYTES_MAX: usize = 256 << 20;

/// What a document may be, checked on what is sent and again after a merge.
///
/// ```
/// let limits = meldb::Limits { document_bytes_max: 64 * 1024, ..Default::default() };
/// let store = meldb::Store::builder().limits(limits).in_memory()?;
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest document after a write, in bytes of its stored text, stamps included.
    pub document_bytes_max: usize,
    /// The deepest nesting of objects and arrays; the document itself is the first level.
    pub depth_max: usize,
    /// The longest field name, in bytes of UTF-8 after unescaping.
    pub member_name_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: DOCUMENT_BYTES_MAX,
            depth_max: DEPTH_MAX,
            member_name_bytes_max: MEMBER_NAME_BYTES_MAX,
        }
    }
}

impl Limits {
    /// Returns the bounds that texts are compiled with.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { depth_max: self.depth_max, name_bytes_max: self.member_name_bytes_max }
    }

    /// Returns the longest text that a write may send, in bytes: a document and 64 KiB, because
    /// white space and escapes that will not be stored take room too.
    pub fn text_bytes_max(&self) -> usize {
        self.document_bytes_max + TEXT_SLACK_BYTES
    }
}
