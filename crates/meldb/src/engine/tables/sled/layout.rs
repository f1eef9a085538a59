//! The keys and values that the sled engine stores, byte by byte.
//!
//! ```text
//! key                            value
//! 'c'  id u64  index u32         the chunk of that index: 4,096 bytes, the last one fewer
//! 'h'  the key as given          00  the value, up to 4,095 bytes
//!                                01  id u64  length u64  checksum u64
//! 'n'                            id u64: above the id of every chunk
//! 's'                            "MelDB"
//! ```
//!
//! Integers are big-endian, so that a value's chunks follow each other in order. The checksum is
//! XXH3-64 over the whole value. Heads (`h`) lie together in the order of the keys as given, and a walk
//! over them never meets a chunk. `s` is written when the store is created: a store without it has lost
//! its files' contents.

use std::ops::Bound;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::engine::{EngineError, EngineErrorKind, KeyRange};

/// The most bytes that go into one sled value, because what is longer has been lost to power cuts.
pub(super) const CHUNK_BYTES: usize = 4096;
const INLINE_BYTES_MAX: usize = CHUNK_BYTES - 1;
/// The longest value: 1 GiB, far above the largest document. A head that says more is damaged.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 30;

const CHUNK: u8 = b'c';
const HEAD: u8 = b'h';
/// The key that every store has.
pub(super) const SENTINEL_KEY: &[u8] = b"s";
/// What is stored there.
pub(super) const SENTINEL: &[u8] = b"MelDB";
/// The key of the id that the next ingestion begins with.
pub(super) const NEXT_ID_KEY: &[u8] = b"n";

const INLINE_TAG: u8 = 0;
const CHUNKED_TAG: u8 = 1;

/// What is stored at a key: the value, or where to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Inline(Bytes),
    Chunked(Chunked),
}

/// A value that is stored in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    pub(super) id: u64,
    pub(super) length: u64,
    pub(super) checksum: u64,
}

impl Head {
    /// Returns the head for `value`, which goes into chunks under `id` if it has to.
    pub(super) fn of(value: &Bytes, id: u64) -> Self {
        if value.len() <= INLINE_BYTES_MAX {
            return Self::Inline(value.clone());
        }
        let checksum = XxHash3_64::oneshot(value);
        Self::Chunked(Chunked { id, length: value.len() as u64, checksum })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(value) => [&[INLINE_TAG], &value[..]].concat(),
            Self::Chunked(chunked) => [&[CHUNKED_TAG], &chunked.encode()[..]].concat(),
        }
    }

    pub(super) fn decode(stored: &[u8]) -> Result<Self, EngineError> {
        match stored.split_first() {
            Some((&INLINE_TAG, value)) => Ok(Self::Inline(Bytes::copy_from_slice(value))),
            Some((&CHUNKED_TAG, fields)) => Chunked::decode(fields).map(Self::Chunked),
            _ => Err(damaged("the head of a value has an unknown tag")),
        }
    }
}

impl Chunked {
    fn encode(&self) -> Vec<u8> {
        [self.id, self.length, self.checksum].map(u64::to_be_bytes).concat()
    }

    fn decode(fields: &[u8]) -> Result<Self, EngineError> {
        let ([id, length, checksum], []) = fields.as_chunks::<8>() else {
            return Err(damaged("the head of a value in chunks has a wrong length"));
        };
        let [id, length, checksum] = [id, length, checksum].map(|field| u64::from_be_bytes(*field));
        if length > VALUE_BYTES_MAX as u64 {
            return Err(damaged("the head of a value in chunks asks for too many of them"));
        }
        Ok(Self { id, length, checksum })
    }

    /// Returns the keys of the chunks in order.
    pub(super) fn chunk_keys(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let id = self.id;
        let chunks = self.length.div_ceil(CHUNK_BYTES as u64) as u32;
        (0..chunks).map(move |index| chunk_key(id, index))
    }
}

/// Returns an id as it is stored.
pub(super) fn encode_id(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// Reads what [`encode_id`] has written.
pub(super) fn decode_id(stored: &[u8]) -> Result<u64, EngineError> {
    let id = stored.try_into().map(u64::from_be_bytes);
    id.map_err(|_| damaged("the id of the next value has a wrong length"))
}

/// Returns the key of a chunk.
pub(super) fn chunk_key(id: u64, index: u32) -> Vec<u8> {
    [&[CHUNK], &id.to_be_bytes()[..], &index.to_be_bytes()[..]].concat()
}

/// Returns the key of the head for a key as given.
pub(super) fn head_key(key: &[u8]) -> Vec<u8> {
    [&[HEAD], key].concat()
}

/// Returns the key as given from the key of its head.
pub(super) fn key_of_head(head_key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(head_key.strip_prefix(&[HEAD]).unwrap_or(head_key))
}

/// Returns the range of the heads for a range of keys as given.
pub(super) fn head_range((start, end): &KeyRange) -> KeyRange {
    let start = match start {
        Bound::Unbounded => Bound::Included(vec![HEAD]),
        bound => bound.as_ref().map(|key| head_key(key)),
    };
    let end = match end {
        Bound::Unbounded => Bound::Excluded(vec![HEAD + 1]),
        bound => bound.as_ref().map(|key| head_key(key)),
    };
    (start, end)
}

pub(super) fn damaged(message: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, message)
}
