//! The log: numbered records in files that are written ahead of need and used again.
//!
//! It knows bytes, files and sequence numbers, and nothing of documents.
//!
//! ```text
//! log/0001.log      header │ record record record … zeros, or what is left of an earlier life
//! log/0002.log      …
//! closed            how far the log reached when the store was closed
//! ```
//!
//! # Promises
//!
//! 1. A record that [`Log::append`] has synced is returned by every later [`Log::open`], whole and in
//!    order, until it is [released](Log::release).
//! 2. Of the records that were not synced, a crash keeps the first ones: [`Log::open`] returns a prefix.
//!    What it returns is on stable storage, and nothing that it did not return ever comes back.
//! 3. Bytes that are not what was written are never returned. If they belong to a record that is known to
//!    have been synced, that is damage and told; otherwise it is the end of the log.
//! 4. Appending writes to space that is there. Growing may fail and is tried again; a record whose write
//!    or sync has failed is the last thing that a log does.
//!
//! `docs/format.md` has the bytes, and `docs/decisions/028-a-log-of-merges.md` the reasons.

mod appender;
mod damage;
mod files;
mod frame;
mod header;
mod ledger;
mod marker;
mod new_file;
mod pool;
mod recover;
mod scan;
mod settings;
mod space;
mod survey;
#[cfg(test)]
mod tests;
mod walk;
mod window;

#[cfg(test)]
use self::recover::Recovered;
pub(crate) use self::{
    appender::Log,
    scan::{ScannedRecord, scan},
    settings::{AppendError, LogSettings},
};
