//! The tables on disk behind the log and the memory table: sorted, and written by checkpoints alone.

mod contract;
#[cfg(feature = "fjall")]
pub(crate) mod fjall;
mod none;
mod read_only;
#[cfg(feature = "sled")]
pub(crate) mod sled;

pub use contract::{KeyRange, TableIter};
pub(crate) use contract::{TableEntry, Tables};
pub(in crate::engine) use contract::{borrowed, is_empty};
pub(crate) use none::NoTables;
pub(crate) use read_only::ReadOnlyTables;
