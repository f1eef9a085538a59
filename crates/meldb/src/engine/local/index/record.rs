//! The bytes of entries, and of what is stored of an index itself.
//!
//! ```text
//! entry  length of the values  flags  checksum
//!                 2              1        4
//! index  checksum  JSON
//!            8      …
//! ```
//!
//! Integers are little-endian. The checksum is the lower half of the XXH3-64 over the key and the fields in front of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{
    engine::{
        damage::damaged_because,
        index::{IndexDefinition, IndexEntry},
        record::Damage,
    },
    query::IndexValues,
    types::{DocId, Error},
};

const IS_CUT: u8 = 1;
const EXPIRES: u8 = 2;
const FIELDS_BYTES: usize = 3;
const RECORD_BYTES: usize = FIELDS_BYTES + 4;

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Progress {
    /// Entries are being removed; what is in front of it may be of an index that was here before.
    Clearing,
    /// It has entries of the documents up to an id, and of those that were written since it was defined.
    Building { after: Option<DocId>, documents: u64 },
    /// It has an entry of every document.
    Ready,
    /// It is not wanted any more; its entries are being removed.
    Dropping,
}

/// What is stored of an index itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredIndex {
    pub(super) definition: IndexDefinition,
    pub(super) progress: Progress,
}

impl StoredIndex {
    /// Returns what is stored at `key`.
    pub(super) fn encode(&self, key: &[u8]) -> Result<Bytes, serde_json::Error> {
        let json = serde_json::to_vec(self)?;
        Ok([&whole_checksum(key, &json)[..], &json].concat().into())
    }

    /// Reads what is stored at `key`.
    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |reason: &str| damaged_because(key, reason.to_owned());
        let (sum, json) = bytes.split_at_checked(8).ok_or_else(|| damaged("it is cut short"))?;
        if sum != whole_checksum(key, json) {
            return Err(damaged("the checksum does not match"));
        }
        serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))
    }
}

/// Returns the entry of a document, without what the keys of the index begin with.
pub(super) fn entry(values: IndexValues, id: &[u8], expires: bool) -> IndexEntry {
    let (values_bytes, mut key) = (values.bytes.len(), values.bytes);
    key.extend_from_slice(id);
    IndexEntry { key: key.into(), values_bytes, is_cut: values.is_cut, expires }
}

/// Returns what is stored at `key`, the whole key of an entry.
pub(super) fn encode(key: &[u8], entry: &IndexEntry) -> Bytes {
    let mut fields = [0; FIELDS_BYTES];
    // Never longer than a limit that is far smaller.
    fields[..2].copy_from_slice(&(entry.values_bytes as u16).to_le_bytes());
    fields[2] = u8::from(entry.is_cut) * IS_CUT + u8::from(entry.expires) * EXPIRES;
    let mut record = [0; RECORD_BYTES];
    record[..FIELDS_BYTES].copy_from_slice(&fields);
    record[FIELDS_BYTES..].copy_from_slice(&checksum(key, &fields));
    Bytes::copy_from_slice(&record)
}

/// Reads what is stored at `key`, whose first `prefix_bytes` are those of the index.
pub(super) fn decode(
    key: &Bytes,
    prefix_bytes: usize,
    record: &[u8],
) -> Result<IndexEntry, Damage> {
    let (fields, sum) =
        record.split_at_checked(FIELDS_BYTES).ok_or(Damage("the entry is cut short"))?;
    if sum != checksum(key, fields) {
        return Err(Damage("the checksum of the entry does not match"));
    }
    let values_bytes = usize::from(u16::from_le_bytes([fields[0], fields[1]]));
    let key = key.slice(prefix_bytes..);
    if values_bytes >= key.len() {
        return Err(Damage("the entry has no id"));
    }
    let (is_cut, expires) = (fields[2] & IS_CUT != 0, fields[2] & EXPIRES != 0);
    Ok(IndexEntry { key, values_bytes, is_cut, expires })
}

fn checksum(key: &[u8], fields: &[u8]) -> [u8; 4] {
    let [first, second, third, fourth, ..] = whole_checksum(key, fields);
    [first, second, third, fourth]
}

fn whole_checksum(key: &[u8], fields: &[u8]) -> [u8; 8] {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(fields), key).to_le_bytes()
}
