//! The keys and values that the sled engine stores, byte by byte.
//!
//! ```text
//! key                            value
//! 'c'  id u64  index u32         the chunk of that index: 4,096 bytes, the last one fewer
//! 'h'  the key as given          00  the value, up to 4,095 bytes
//!                                01  id u64  length u64  checksum u64
//! 's'                            "MelDB"
//! 'w'                            00  id u64
//!                                01  id u64  length u64  checksum u64
//! ```
//!
//! Integers are big-endian, so that a value's chunks follow each other in order. The checksum is
//! XXH3-64 over the whole value. An id is given to one value and never to another while the store
//! is open. Heads (`h`) lie together in the order of the keys as given, and a walk over them never
//! meets a chunk. `s` is written when the store is created: a store without it has lost its files'
//! contents. `w` is there while a large batch is made: the chunks from an id on are worth nothing, or
//! the list of its changes is whole and is the value in those chunks. `docs/format.md` has the same
//! in tables.

use std::ops::Bound;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::super::{BatchEntry, KeyRange, KvError, KvErrorKind};

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
/// The key of the [`Note`] on an unfinished batch.
pub(super) const NOTE_KEY: &[u8] = b"w";

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
    pub(super) fn of(value: Bytes, id: u64) -> Self {
        if value.len() <= INLINE_BYTES_MAX {
            return Self::Inline(value);
        }
        Self::Chunked(Chunked::of(&value, id))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(value) => [&[INLINE_TAG], &value[..]].concat(),
            Self::Chunked(chunked) => [&[CHUNKED_TAG], &chunked.encode()[..]].concat(),
        }
    }

    pub(super) fn decode(stored: &[u8]) -> Result<Self, KvError> {
        match stored.split_first() {
            Some((&INLINE_TAG, value)) => Ok(Self::Inline(Bytes::copy_from_slice(value))),
            Some((&CHUNKED_TAG, fields)) => Chunked::decode(fields).map(Self::Chunked),
            _ => Err(damaged("the head of a value has an unknown tag")),
        }
    }
}

impl Chunked {
    /// Returns where `value` is found in chunks under `id`.
    pub(super) fn of(value: &[u8], id: u64) -> Self {
        Self { id, length: value.len() as u64, checksum: XxHash3_64::oneshot(value) }
    }

    fn encode(&self) -> Vec<u8> {
        [self.id, self.length, self.checksum].map(u64::to_be_bytes).concat()
    }

    fn decode(fields: &[u8]) -> Result<Self, KvError> {
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

/// How far a batch has come that is made in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The chunks from an id on are not needed.
    Worthless { first_id: u64 },
    /// The batch is made as soon as the changes of its list are.
    Made { list: Chunked },
}

impl Note {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Worthless { first_id } => [&[0], &first_id.to_be_bytes()[..]].concat(),
            Self::Made { list } => [&[1], &list.encode()[..]].concat(),
        }
    }

    pub(super) fn decode(stored: &[u8]) -> Result<Self, KvError> {
        let wrong = || damaged("the note on an unfinished batch cannot be read");
        match stored.split_first() {
            Some((0, id)) => {
                let first_id = id.try_into().map(u64::from_be_bytes).map_err(|_| wrong())?;
                Ok(Self::Worthless { first_id })
            }
            Some((1, fields)) => Ok(Self::Made { list: Chunked::decode(fields)? }),
            _ => Err(wrong()),
        }
    }
}

/// Returns a list of changes of sled's own keys: of each its key, and `01` and the new value or `00`;
/// keys and values have their lengths, `u32`, before them.
pub(super) fn encode_list(changes: &[BatchEntry]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut push = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("a key or a value of at most 4 KiB");
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(bytes);
    };
    for (key, value) in changes {
        push(key);
        match value {
            Some(value) => push(&[&[1], &value[..]].concat()),
            None => push(&[0]),
        }
    }
    text
}

/// Reads what [`encode_list`] has written.
pub(super) fn decode_list(mut text: &[u8]) -> Result<Vec<BatchEntry>, KvError> {
    let mut pop = || {
        let (length, rest) = text.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        text = rest;
        Some(bytes)
    };
    let mut changes = Vec::new();
    while let Some(key) = pop() {
        let value = match pop().and_then(<[u8]>::split_first) {
            Some((0, [])) => None,
            Some((1, value)) => Some(value.to_vec()),
            _ => return Err(damaged("the list of an unfinished batch cannot be read")),
        };
        changes.push((key.to_vec(), value));
    }
    match text {
        [] => Ok(changes),
        _ => Err(damaged("the list of an unfinished batch cannot be read")),
    }
}

/// Returns the key of a chunk.
pub(super) fn chunk_key(id: u64, index: u32) -> Vec<u8> {
    [&[CHUNK], &id.to_be_bytes()[..], &index.to_be_bytes()[..]].concat()
}

/// Returns the range of all keys of chunks.
pub(super) fn chunk_keys() -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (Bound::Included(vec![CHUNK]), Bound::Excluded(vec![CHUNK + 1]))
}

/// Returns the id in the key of a chunk.
pub(super) fn id_of_chunk_key(key: &[u8]) -> Option<u64> {
    key.strip_prefix(&[CHUNK])?.first_chunk().map(|id| u64::from_be_bytes(*id))
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

pub(super) fn damaged(message: &str) -> KvError {
    KvError::new(KvErrorKind::Damaged, message)
}
