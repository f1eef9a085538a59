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
//! Features: `fjall` (default) and `sled` are the engines on disk; `postgres` is for stores that several
//! processes share.

mod clock;
mod commit;
mod directory;
pub mod engine;
mod hash;
pub mod json;
mod maintenance;
pub mod merge;
mod periodic;
mod read;
mod store;
mod store_id;
mod types;

pub use clock::{Clock, SystemClock};
pub use commit::observer::Observer;
#[doc(hidden)]
pub use engine::memory_engine;
pub use engine::{ChangeKind, EngineKind, Erased, Totals};
pub use maintenance::{
    BackupSummary, CopyProgress, Forgotten, HousekeepingStats, ImportStats, PastWrite, Redacted,
    TimeReset, Verification, Verified, dump_log, repair,
};
pub use merge::{Depth, Nulls};
pub use read::{
    Blame, BlamedField, Change, ChangePage, Changes, Listing, Page, SetBy, Updated, Version,
    VersionPage, Versions, WritePage, Writes,
};
pub use store::{
    Batch, BatchResult, Builder, Collection, DocumentRef, Durability, Store, Tenant, Tenants,
    UndoBy, UndoneField, Write, WriteOptions,
};
pub use types::limits;
pub use types::{
    Actor, Cause, ChangeCursor, CollectionName, Condition, DocId, Document, DocumentKey,
    DocumentPath, Effect, Error, Expiry, History, IdempotencyKey, JsonText, Limits, NameError,
    NameKind, Outcome, Quota, Result, Revision, TenantId, ToJson, WriteResult, with_causes,
};

/// The verbs of [`Write`].
pub mod verb {
    pub use crate::store::verb::{Any, Delete, Kind, Merge, Patch, Put, Update, Verb};
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So are the guide's.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;
