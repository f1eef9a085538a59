//! Backups, written from an engine and restored into one. Knows no store and no file.
//!
//! `docs/format.md` describes the format; `frame` has its bytes, `write` makes a backup while
//! commits go on, `read` checks one and restores it.

mod copy;
mod frame;
mod read;
mod summary;
mod write;

pub use copy::CopyProgress;
pub(crate) use copy::copy;
pub(crate) use read::restore;
pub use summary::BackupSummary;
pub(crate) use write::write;
