//! An embedded, multi-tenant store of JSON documents whose write is an **atomic, stamped merge**.
//!
//! A document lives at tenant / collection / id. A merge changes only the fields that it names,
//! keeps the rest byte for byte, stamps `updated` and `updatedBy` in the same step, and is refused
//! when the document does not exist:
//!
//! ```
//! use meldb::{Condition, Error, Store};
//! use serde_json::json;
//!
//! # let dir = tempfile::tempdir().expect("a temporary directory");
//! # let dir = dir.path().join("store");
//! let store = Store::open(dir)?;
//! let users = store.tenant("tenant-alpha")?.collection("users")?;
//!
//! users.put("user-123", json!({"name": "Ada", "role": "field"})).commit("signup")?;
//! let written = users.merge("user-123", json!({"role": "owner"})).commit("billing")?;
//!
//! // Compare-and-set: the revision says what the change was made from.
//! let stale = Condition::Matches(written.document.revision());
//! users.merge("user-123", json!({"seats": 5})).commit("billing")?;
//! let lost = users.merge("user-123", json!({"seats": 6})).condition(stale).commit("sales");
//! assert!(matches!(lost, Err(Error::RevisionMismatch { .. })));
//!
//! // A merge never creates.
//! let missing = users.merge("user-999", json!({"role": "owner"})).commit("billing");
//! assert!(matches!(missing, Err(Error::NotFound { .. })));
//! # Ok::<(), Error>(())
//! ```
//!
//! Every verb has a blocking form and one that returns an executor-independent future:
//! [`Write::commit`] and [`Write::commit_async`], [`DocumentRef::get`] and
//! [`DocumentRef::get_async`].
//!
//! # Writing
//!
//! [`Collection`] and [`DocumentRef`] have the verbs: `put` creates or replaces, `insert` creates, `merge` (RFC 7396) and
//! `patch` (RFC 6902) change what is there, `delete` deletes. Each returns a [`Write`], which `commit` makes as an actor.
//! They take whatever serde can serialize, and JSON text as [`JsonText`].
//!
//! ```
//! # use meldb::{JsonText, Store};
//! # let store = Store::in_memory()?;
//! let users = store.tenant("tenant-alpha")?.collection("users")?;
//! users.put("ada", JsonText(r#"{"name": "Ada", "score": 12.50}"#)).commit("signup")?;
//! users.patch("ada", serde_json::json!([{"op": "remove", "path": "/score"}])).commit("admin")?;
//! let gone = users.delete("ada").commit("admin")?;
//! assert_eq!(gone.revision.get(), 3, "the third write of the tenant");
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # Reading
//!
//! ```
//! # use meldb::Store;
//! # use serde::{Deserialize, Serialize};
//! # let store = Store::in_memory()?;
//! #[derive(Serialize, Deserialize)]
//! struct User {
//!     role: String,
//! }
//!
//! let users = store.tenant("tenant-alpha")?.collection("users")?;
//! users.put("ada", User { role: "owner".to_owned() }).commit("signup")?;
//! let ada: Option<User> = users.get_as("ada")?;
//! assert_eq!(ada.map(|ada| ada.role).as_deref(), Some("owner"));
//! for user in users.list() {
//!     assert!(user?.as_text()?.contains("\"updatedBy\":\"signup\""));
//! }
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # Queries
//!
//! [`Collection::find`] asks which documents pass a [`Filter`], in any order, page by page; see `docs/guide/queries.md`.
//!
//! ```
//! # use meldb::{Store, desc, field};
//! # let store = Store::in_memory()?;
//! let users = store.tenant("tenant-alpha")?.collection("users")?;
//! users.put("ada", serde_json::json!({"role": "owner", "seats": 3})).commit("signup")?;
//! let owners = users.find(field("role").eq("owner").and(field("seats").ge(3)));
//! assert_eq!(owners.sort(desc("seats")).page(100)?.documents.len(), 1);
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # Conditions
//!
//! [`Condition`] makes a write depend on the document's presence, its revision, or on the fields that a merge touches. What
//! does not hold is an error that says what was found; see the first example.
//!
//! # Batches
//!
//! Writes of one tenant that are made together or not at all:
//!
//! ```
//! # use meldb::Store;
//! # use serde_json::json;
//! # let store = Store::in_memory()?;
//! let tenant = store.tenant("tenant-alpha")?;
//! let stock = tenant.collection("stock")?;
//! let batch = tenant.batch();
//! let batch = batch.with(stock.put("tea", json!({"count": 1})));
//! let batch = batch.with(stock.put("milk", json!({"count": 2})));
//! assert_eq!(batch.commit("delivery")?.outcomes.len(), 2);
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # The change feed
//!
//! [`Tenant::changes`] has the last write of each document in the order of the writes, deletes included, as pages, an
//! iterator, a future or a stream. A [`ChangeCursor`] says where to go on.
//!
//! ```
//! # use meldb::{ChangeCursor, ChangeKind, Store};
//! # use serde_json::json;
//! # let store = Store::in_memory()?;
//! let tenant = store.tenant("tenant-alpha")?;
//! tenant.collection("users")?.put("ada", json!({})).commit("signup")?;
//! let page = tenant.changes(ChangeCursor::START).page(100)?;
//! assert_eq!(page.changes[0].kind, ChangeKind::Put);
//! let next = tenant.changes(page.cursor).page(100)?;
//! assert!(next.changes.is_empty());
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # Durability
//!
//! When a write returns, it survives a power cut ([`Durability::Synced`], the default), or the death of the process
//! ([`Durability::Buffered`]), which is synced in the background. No reader sees a write before that.
//!
//! ```
//! # use meldb::{Durability, Store};
//! # let dir = tempfile::tempdir().expect("a temporary directory");
//! # let dir = dir.path().join("store");
//! let store = Store::builder().durability(Durability::Buffered).open(dir)?;
//! store.tenant("tenant-alpha")?.document().put(serde_json::json!({})).commit("me")?;
//! store.sync()?;
//! # Ok::<(), meldb::Error>(())
//! ```
//!
//! # Errors
//!
//! [`Error`] is the one error type. [`Error::is_retryable`] says whether the same call may succeed later, and
//! [`Error::is_outcome_unknown`] whether a write that failed may be stored nevertheless. Causes are told by
//! [`source`](std::error::Error::source), and [`with_causes`] shows them.
//!
//! ```
//! # use meldb::{Error, Store, with_causes};
//! # let store = Store::in_memory()?;
//! let users = store.tenant("tenant-alpha")?.collection("users")?;
//! let error = users.merge("ada", serde_json::json!({})).commit("me").expect_err("nobody is there");
//! assert!(matches!(&error, Error::NotFound { .. }));
//! assert!(!error.is_retryable() && !error.is_outcome_unknown());
//! assert_eq!(with_causes(&error).to_string(), "tenant-alpha/users/ada does not exist");
//! # Ok::<(), Error>(())
//! ```
//!
//! # Features
//!
//! | feature | |
//! | --- | --- |
//! | `fjall` (default) | tables of local stores in fjall, a log-structured merge tree |
//! | `sled` | tables of local stores in sled; read its limits in `docs/format.md` before choosing it |
//! | `postgres` | stores on PostgreSQL that several processes share: `Builder::postgres` |
//!
//! # Stability
//!
//! The module [`engine`] is the seam below the documents, for engines of one's own and for tools. It may change in any
//! release; what callers of a store meet is at the root.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod commit;
mod copy;
mod directory;
pub mod engine;
mod hash;
pub mod json;
mod maintenance;
pub mod merge;
mod periodic;
mod query;
mod read;
mod store;
mod store_id;
mod types;

pub use clock::{Clock, SystemClock};
pub use commit::observer::Observer;
pub use directory::FORMAT_VERSION;
#[doc(hidden)]
pub use engine::memory_engine;
pub use engine::{
    Capabilities, ChangeKind, CollectionTotals, EngineError, EngineErrorKind, EngineKind,
    EngineStats, Erased, IndexState, Salvaged, Totals,
};
pub use maintenance::{
    BackupSummary, CopyProgress, Forgotten, HousekeepingStats, ImportStats, PastWrite, Redacted,
    TimeReset, Verification, Verified, dump_log, repair,
};
pub use merge::{
    ChangedMember, ConflictKind, Depth, Diff, Nulls, PatchConflict, PathError, TextError,
    TextErrorKind,
};
pub use query::{Field, Filter, Index, Projection, Sort, asc, desc, field};
pub use read::{
    Access, Blame, BlamedField, Change, ChangePage, Changes, CountPage, Find, FindCursor, FindPage,
    Listing, Page, Plan, Scan, SetBy, Updated, Version, VersionPage, Versions, WritePage, Writes,
};
pub use store::{
    Batch, BatchResult, Builder, BulkDelete, BulkMerge, BulkReport, BulkWrite, Collection,
    Collections, DocumentRef, Durability, IndexChange, IndexInfo, Store, Tenant, Tenants, UndoBy,
    UndoneField, Write, WriteOptions,
};
pub use types::limits;
pub use types::{
    Actor, Cause, ChangeCursor, CollectionName, Condition, DeleteResult, DocId, Document,
    DocumentKey, DocumentPath, Effect, EpochMs, Error, Expiry, History, IdRange, IdempotencyKey,
    JsonText, Limits, NameError, NameKind, Outcome, QueryError, Quota, Result, Revision, TenantId,
    ToJson, WriteResult, with_causes,
};

/// The verbs of [`Write`].
pub mod verb {
    pub use crate::store::verb::{Any, Delete, Kind, Merge, Patch, Put, Update, Verb};
}

/// Pages whose Rust blocks are tests.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $path:literal),* $(,)?) => {
            $(#[doc = include_str!(concat!("../../../", $path))] struct $name;)*
        };
    }

    pages! {
        Readme: "README.md",
        Backup: "docs/guide/backup.md",
        Batches: "docs/guide/batches.md",
        Conditions: "docs/guide/conditions.md",
        Embedding: "docs/guide/embedding.md",
        Expiry: "docs/guide/expiry.md",
        Exports: "docs/guide/exports.md",
        Feed: "docs/guide/feed.md",
        History: "docs/history.md",
        Outcomes: "docs/guide/outcomes.md",
        Queries: "docs/guide/queries.md",
        Quotas: "docs/guide/quotas.md",
        Reading: "docs/guide/reading.md",
        Retries: "docs/guide/retries.md",
    }
}
