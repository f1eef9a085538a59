//! Indexes on this machine.
//!
//! The tables hold an entry in every index for every document that they hold, no more and no fewer: a checkpoint writes
//! both in one step, and finds the former entry by reading the document that it replaces. A write does nothing for indexes
//! but to note which of its top-level fields it may change; a document none of whose changed fields is in an index keeps
//! its entry.
//!
//! What memory holds over the tables is put in order when an index is asked, from where that was done last.

mod build;
mod catch_up;
mod difference;
mod entry_run;
mod indexes;
mod local_index;
mod overlay;
mod read;
mod record;
mod registry;
mod runs;
mod verify;

pub(super) use self::{
    difference::Differences,
    entry_run::EntryRun,
    indexes::Indexes,
    overlay::{Overlays, Seen},
};
