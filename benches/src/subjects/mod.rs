//! The stores and engines that are measured.

use std::ops::Bound;

// What every engine gets for its caches: what the store gives its own.
use ::meldb::limits::MEMORY_BYTES;

pub mod fjall;
#[cfg(feature = "peers")]
pub mod lmdb;
pub mod meldb;
#[cfg(feature = "peers")]
pub mod redb;
pub mod sled;
#[cfg(feature = "peers")]
pub mod sqlite;

/// When a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// When it is on stable storage.
    Durable,
    /// When the operating system, or for some engines only the process, has it.
    Buffered,
}

/// The key that the store gives a document, for engines that are measured beside it.
fn key(id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(PREFIX.len() + id.len());
    key.extend_from_slice(PREFIX);
    key.extend_from_slice(id.as_bytes());
    key
}

/// Returns the keys of all documents behind `after`.
fn behind(after: &str) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut end = key("");
    *end.last_mut().expect("the prefix is not empty") += 1;
    (Bound::Excluded(key(after)), Bound::Excluded(end))
}

const PREFIX: &[u8] = b"dtenant-0\0users\0";
