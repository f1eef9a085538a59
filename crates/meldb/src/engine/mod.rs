//! The seam between documents and storage.
//!
//! [`Engine`] speaks documents: rows by key, a change sequence by tenant, and a commit that gives
//! revisions. `local` implements it by a log of merges over sorted tables, and `postgres` over a database
//! that several processes share. `key` and `record` own the bytes of what is stored.

#[cfg(any(feature = "fjall", feature = "sled"))]
mod catch_panic;
mod contract;
mod damage;
mod exchange;
pub(crate) mod history;
pub(crate) mod history_walk;
mod index;
pub(crate) mod key;
pub(crate) mod local;
pub(crate) mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
pub(crate) mod record;
mod rows;
mod salvage;
pub(crate) mod tables;
mod totals;
mod walk;
pub(crate) mod wire;

pub use crate::types::{EngineError, EngineErrorKind, IdRange};
pub use contract::{Engine, ScanPage};
pub(crate) use contract::{READ_DOCUMENTS, rows_of};
pub use exchange::{
    Capabilities, CollectionTotals, CommitError, CommitOutcome, EngineStats, EraseStep, Erased,
    Expired, HistoryChange, HistoryPage, PageSize, Persist, Purged, ReadAhead,
};
pub use history::{Before, DocumentHistory, HistoryEntry, Previous, Splice};
pub use index::{IndexDefinition, IndexEntry, IndexPage, IndexRange, IndexState};
#[doc(hidden)]
pub use local::entries::{StoredEntries, engine_over_entries, stored_entries};
pub use open::EngineKind;
#[doc(hidden)]
pub use open::memory_engine;
pub(crate) use rows::Held;
pub use rows::{Change, ChangeKind, Entry, Head, Row, RowBase, RowWrite, TenantCommit, Totals};
pub use salvage::Salvaged;
pub(crate) use salvage::salvage;
pub use tables::{KeyRange, TableIter};
pub use walk::{Record, RecordIter};
