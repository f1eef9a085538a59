//! The engine on this machine: a log of merges, a table in memory, and tables on disk.
//!
//! ```text
//! write ─► log (append, sync) ─► memory table ─┐ checkpoint: sorted, in the background
//! get   ─► memory table ─► value cache ─► tables
//! list  ─► memory table ─► run cache   ─► tables
//! ```
//!
//! A commit is durable when its record is in the log, and visible when its rows are in the memory table, where a
//! group is put whole under one lock. The tables are written by checkpoints alone.

pub(super) mod change_starts;
mod checkpoint;
mod checkpointer;
mod damaged;
mod document_walk;
pub(crate) mod dump;
pub(super) mod entries;
mod history;
mod index;
mod key_walk;
mod local_engine;
pub(crate) mod log;
mod log_record;
mod memory_table;
mod pace;
mod read;
mod read_only;
mod recovery;
mod run_cache;
mod shared;
#[cfg(test)]
mod tests;
mod value_cache;
mod wake;
mod walk;
mod write;

use self::shared::{Shared, TABLES_DIR, Writer};
pub(crate) use self::{
    local_engine::LocalEngine,
    shared::{CheckPlace, LOG_DIR, LocalSettings},
};
