//! The handles that callers hold: a store, its tenants, collections and documents, and writes to them.

mod backup;
mod batch;
mod builder;
mod collection;
mod collections;
mod document_ref;
mod handle;
mod history;
mod in_steps;
mod index;
mod open;
mod redaction;
mod tenant;
mod tenants;
pub(crate) mod verb;
mod write;

pub use batch::{Batch, BatchResult};
pub use builder::{Builder, Durability};
pub use collection::Collection;
pub use collections::Collections;
pub use document_ref::DocumentRef;
pub use handle::Store;
pub use history::{UndoBy, UndoneField};
pub use in_steps::{BulkDelete, BulkMerge, BulkReport, BulkWrite};
pub use index::{IndexChange, IndexInfo};
pub use tenant::Tenant;
pub use tenants::Tenants;
pub use write::{Write, WriteOptions};
