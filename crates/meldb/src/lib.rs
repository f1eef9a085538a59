//! An embedded, multi-tenant store of JSON documents whose write is an **atomic, stamped merge**.
//!
//! A document lives at tenant / collection / id. A merge changes only the members that it names,
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
//! users.put("user-123", json!({"name": "Ada", "role": "member"})).commit("signup")?;
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
//! Every verb has a blocking form and one that returns a future of any executor:
//! [`Write::commit`] and [`Write::commit_async`], [`DocumentRef::get`] and
//! [`DocumentRef::get_async`].
//!
//! Features: `fjall` (default) and `sled` are the engines on disk; `postgres` is for stores that several
//! processes share.

mod backup;
mod clock;
mod directory;
mod document;
pub mod engine;
mod error;
mod hash;
pub mod json;
mod key;
mod lane;
pub mod limits;
pub mod merge;
mod names;
mod periodic;
mod record;
mod store;
mod store_id;
mod text;

pub use backup::{BackupSummary, CopyProgress};
pub use clock::{Clock, SystemClock};
pub use document::Document;
pub use engine::{ChangeKind, Erased, Totals};
pub use error::{Error, Result};
pub use limits::Limits;
pub use merge::{Depth, Nulls};
pub use names::{
    Actor, CollectionName, DocId, DocumentKey, DocumentPath, NameKind, Revision, TenantId,
};
#[doc(hidden)]
pub use store::memory_engine;
pub use store::{
    Batch, BatchWritten, Builder, Change, ChangeCursor, ChangePage, Changes, Collection, Condition,
    DocumentRef, Durability, Effect, EngineKind, Expiry, Housekept, IdempotencyKey, Listing,
    Observer, Outcome, Page, PastWrite, Preserved, Quota, Store, Tenant, Tenants, TimeReset,
    Updated, Verification, Verified, Write, Written, dump_log, repair,
};
pub use text::{JsonText, ToJson};

/// The verbs of [`Write`].
pub mod verb {
    pub use crate::store::verb::{Delete, Merge, Patch, Put, Update, Verb};
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So are the guide's.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;
