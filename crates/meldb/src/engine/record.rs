//! The bytes of every value, in one place.
//!
//! ```text
//! document   version  state  revision  updated_ms  expires_ms  checksum  body (the stored text; empty for a tombstone)
//!               1       1       8          8        0 or 8       8      …
//! change     version  kind   updated_ms  documents  bytes  tombstones  checksum  length  actor  collection  00  id
//!               1       1        8           8        8         8          8        1      …        …       1   …
//! horizon    version  revision  checksum
//!               1        8         8
//! head       version  revision  updated_ms  documents  bytes  tombstones  history bytes  horizon  checksum
//!               1        8          8           8        8         8            8           8        8
//! ```
//!
//! Integers are little-endian. The checksum is XXH3-64 over the body, seeded with the XXH3-64 of
//! the key and the fields before the checksum: a record that was changed, cut short or moved to
//! another key is refused. `docs/format.md` has the same in tables.

use bytes::{Buf, Bytes};
use twox_hash::XxHash3_64;

use super::rows::Head;
pub(crate) use super::rows::{Change, ChangeKind, Row, Totals};
use crate::{
    copy::append,
    types::{Actor, CollectionName, DocId, DocumentKey, Revision},
};

const VERSION: u8 = 1;
const DOCUMENT_HEADER_BYTES: usize = 26;
/// What a document's header has more if the document expires.
const EXPIRY_BYTES: usize = 8;
const TOMBSTONE: u8 = 0;
const EXISTS: u8 = 1;
const EXPIRES: u8 = 2;
const CHANGE_HEADER_BYTES: usize = 42;
const HORIZON_HEADER_BYTES: usize = 17;
const HEAD_BYTES: usize = 1 + 7 * 8 + 8;
/// Longer than any key: 1 + 64 + 1 + 64 + 1 + 255 bytes.
const KEY_BYTES_MAX: usize = 512;

/// What is wrong with stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

const TOO_SHORT: Damage = Damage("the record is cut short");
const UNKNOWN_VERSION: Damage = Damage("the record's version is unknown");
const WRONG_CHECKSUM: Damage = Damage("the checksum does not match");
const MALFORMED: Damage = Damage("the record is malformed");

/// Returns the bytes of a document's record, to be stored at `key`.
pub(crate) fn encode_row(key: &[u8], row: &Row) -> Vec<u8> {
    let text = row.body.as_deref().unwrap_or_default();
    let (state, expiry_bytes) = match (&row.body, row.expires_ms) {
        (None, _) => (TOMBSTONE, 0),
        (Some(_), None) => (EXISTS, 0),
        (Some(_), Some(_)) => (EXPIRES, EXPIRY_BYTES),
    };
    // Not a byte more: an engine that shares what it stores then need not allocate once more.
    let mut bytes = Vec::with_capacity(DOCUMENT_HEADER_BYTES + expiry_bytes + text.len());
    bytes.extend_from_slice(&[VERSION, state]);
    bytes.extend_from_slice(&row.revision.get().to_le_bytes());
    bytes.extend_from_slice(&row.updated_ms.to_le_bytes());
    if let (Some(_), Some(expires_ms)) = (&row.body, row.expires_ms) {
        bytes.extend_from_slice(&expires_ms.to_le_bytes());
    }
    bytes.extend_from_slice(&checksum(key, &bytes, text).to_le_bytes());
    append(&mut bytes, text);
    bytes
}

/// Returns the checksum of a row that is stored in columns of its own, without its revision, which
/// is given where it is stored.
#[cfg(feature = "postgres")]
pub(crate) fn checksum_apart(
    key: &[u8],
    updated_ms: u64,
    body: Option<&[u8]>,
    expires_ms: Option<u64>,
) -> u64 {
    let mut fields = [0; 18];
    fields[0] = u8::from(body.is_some());
    fields[1..9].copy_from_slice(&updated_ms.to_le_bytes());
    fields[9] = u8::from(expires_ms.is_some());
    fields[10..].copy_from_slice(&expires_ms.unwrap_or_default().to_le_bytes());
    checksum(key, &fields, body.unwrap_or_default())
}

/// Reads a document's record that was stored at `key`, sharing the body's bytes.
pub(crate) fn decode_row(key: &[u8], mut bytes: Bytes) -> Result<Row, Damage> {
    let expires = bytes.get(1) == Some(&EXPIRES);
    let header_bytes = DOCUMENT_HEADER_BYTES + if expires { EXPIRY_BYTES } else { 0 };
    let mut fields = Fields::open(key, &bytes, header_bytes)?;
    let state = fields.byte();
    let mut row = Row {
        revision: Revision::new(fields.integer()),
        updated_ms: fields.integer(),
        expires_ms: expires.then(|| fields.integer()),
        body: None,
    };
    if state > EXPIRES || (state == TOMBSTONE && bytes.len() > header_bytes) {
        return Err(MALFORMED);
    }
    if state != TOMBSTONE {
        bytes.advance(header_bytes);
        row.body = Some(bytes);
    }
    Ok(row)
}

/// Returns the bytes of a change, to be stored at `key`.
pub(crate) fn encode_change(key: &[u8], change: &Change) -> Vec<u8> {
    let actor = change.updated_by.as_str().as_bytes();
    let mut path = Vec::with_capacity(1 + actor.len() + 64);
    // An actor has 255 bytes at most.
    path.push(actor.len() as u8);
    path.extend_from_slice(actor);
    if let DocumentKey::Member { collection, id } = &change.key {
        path.extend_from_slice(collection.as_str().as_bytes());
        path.push(0);
        path.extend_from_slice(id.as_str().as_bytes());
    }
    let mut bytes = Vec::with_capacity(CHANGE_HEADER_BYTES + path.len());
    bytes.push(VERSION);
    bytes.push(match change.kind {
        ChangeKind::Put => 0,
        ChangeKind::Merged => 1,
        ChangeKind::Deleted => 2,
    });
    bytes.extend_from_slice(&change.updated_ms.to_le_bytes());
    bytes.extend_from_slice(&change.totals.documents.to_le_bytes());
    bytes.extend_from_slice(&change.totals.bytes.to_le_bytes());
    bytes.extend_from_slice(&change.totals.tombstones.to_le_bytes());
    bytes.extend_from_slice(&checksum(key, &bytes, &path).to_le_bytes());
    bytes.extend_from_slice(&path);
    bytes
}

/// Reads a change that was stored at `key`.
pub(crate) fn decode_change(key: &[u8], bytes: &[u8]) -> Result<Change, Damage> {
    let mut fields = Fields::open(key, bytes, CHANGE_HEADER_BYTES)?;
    let kind = match fields.byte() {
        0 => ChangeKind::Put,
        1 => ChangeKind::Merged,
        2 => ChangeKind::Deleted,
        _ => return Err(MALFORMED),
    };
    let updated_ms = fields.integer();
    let totals = Totals {
        documents: fields.integer(),
        bytes: fields.integer(),
        tombstones: fields.integer(),
        // A change does not say.
        history_bytes: 0,
    };
    let (length, text) = bytes[CHANGE_HEADER_BYTES..].split_first().ok_or(MALFORMED)?;
    let (actor, path) = text.split_at_checked(usize::from(*length)).ok_or(MALFORMED)?;
    let updated_by = std::str::from_utf8(actor).ok().and_then(|actor| Actor::parse(actor).ok());
    let updated_by = updated_by.ok_or(MALFORMED)?;
    let key = document_key(path).ok_or(MALFORMED)?;
    Ok(Change { key, kind, updated_ms, updated_by, totals })
}

/// Returns the bytes of a tenant's horizon, to be stored at `key`.
pub(crate) fn encode_horizon(key: &[u8], revision: Revision) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HORIZON_HEADER_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&revision.get().to_le_bytes());
    bytes.extend_from_slice(&checksum(key, &bytes, b"").to_le_bytes());
    bytes
}

/// Reads a tenant's horizon that was stored at `key`.
pub(crate) fn decode_horizon(key: &[u8], bytes: &[u8]) -> Result<Revision, Damage> {
    let mut fields = Fields::open(key, bytes, HORIZON_HEADER_BYTES)?;
    if bytes.len() > HORIZON_HEADER_BYTES {
        return Err(MALFORMED);
    }
    Ok(Revision::new(fields.integer()))
}

/// Returns the bytes of where a tenant stands, to be stored at `key`.
pub(crate) fn encode_head(key: &[u8], head: &Head, horizon: Revision) -> Vec<u8> {
    let Head { revision, updated_ms, totals } = *head;
    let Totals { documents, bytes, tombstones, history_bytes } = totals;
    let fields =
        [revision.get(), updated_ms, documents, bytes, tombstones, history_bytes, horizon.get()];
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    bytes.push(VERSION);
    fields.iter().for_each(|field| bytes.extend_from_slice(&field.to_le_bytes()));
    bytes.extend_from_slice(&checksum(key, &bytes, b"").to_le_bytes());
    bytes
}

/// Reads where a tenant stands, and its horizon, from what was stored at `key`.
pub(crate) fn decode_head(key: &[u8], bytes: &[u8]) -> Result<(Head, Revision), Damage> {
    let mut fields = Fields::open(key, bytes, HEAD_BYTES)?;
    if bytes.len() > HEAD_BYTES {
        return Err(MALFORMED);
    }
    let head = Head {
        revision: Revision::new(fields.integer()),
        updated_ms: fields.integer(),
        totals: Totals {
            documents: fields.integer(),
            bytes: fields.integer(),
            tombstones: fields.integer(),
            history_bytes: fields.integer(),
        },
    };
    Ok((head, Revision::new(fields.integer())))
}

fn document_key(path: &[u8]) -> Option<DocumentKey> {
    if path.is_empty() {
        return Some(DocumentKey::Tenant);
    }
    let (collection, id) = std::str::from_utf8(path).ok()?.split_once('\0')?;
    Some(DocumentKey::Member {
        collection: CollectionName::parse(collection).ok()?,
        id: DocId::parse(id).ok()?,
    })
}

fn checksum(key: &[u8], fields: &[u8], text: &[u8]) -> u64 {
    let mut head = [0; KEY_BYTES_MAX];
    head[..fields.len()].copy_from_slice(fields);
    let end = fields.len() + key.len();
    head[fields.len()..end].copy_from_slice(key);
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(&head[..end]), text)
}

/// The fields of a header whose version and checksum have been checked, read in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn open(key: &[u8], bytes: &'a [u8], header_bytes: usize) -> Result<Self, Damage> {
        if bytes.len() < header_bytes {
            return Err(TOO_SHORT);
        }
        if bytes[0] != VERSION {
            return Err(UNKNOWN_VERSION);
        }
        let (header, text) = bytes.split_at(header_bytes);
        let (fields, stored) = header.split_at(header_bytes - 8);
        if checksum(key, fields, text).to_le_bytes() != stored {
            return Err(WRONG_CHECKSUM);
        }
        Ok(Self(&fields[1..]))
    }

    fn byte(&mut self) -> u8 {
        let byte = self.0[0];
        self.0 = &self.0[1..];
        byte
    }

    fn integer(&mut self) -> u64 {
        let mut integer = [0; 8];
        integer.copy_from_slice(&self.0[..8]);
        self.0 = &self.0[8..];
        u64::from_le_bytes(integer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Held;

    fn member(collection: &str, id: &str) -> DocumentKey {
        DocumentKey::Member {
            collection: CollectionName::parse(collection).expect("a collection name"),
            id: DocId::parse(id).expect("a document id"),
        }
    }

    fn row(revision: u64, body: &[u8]) -> Row {
        let body = Some(Bytes::copy_from_slice(body));
        Row { revision: Revision::new(revision), updated_ms: 7, body, expires_ms: None }
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(
            key in prop::collection::vec(any::<u8>(), 0..400), revision: u64, updated_ms: u64,
            body in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
            expires_ms: Option<u64>,
        ) {
            let expires_ms = expires_ms.filter(|_| body.is_some());
            let body = body.map(Bytes::from);
            let row = Row { revision: Revision::new(revision), updated_ms, body, expires_ms };
            let bytes = encode_row(&key, &row);
            prop_assert_eq!(decode_row(&key, Bytes::from(bytes)), Ok(row));
        }

        #[test]
        fn any_flipped_bit_and_any_cut_is_damage(
            revision: u64, body in prop::collection::vec(any::<u8>(), 0..300),
            expires_ms: Option<u64>, at: prop::sample::Index,
        ) {
            let good = encode_row(b"key", &Row { expires_ms, ..row(revision, &body) });
            let bit = at.index(good.len() * 8);
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_row(b"key", Bytes::from(flipped)).is_err());
            let cut = Bytes::from(good).slice(..bit / 8);
            prop_assert!(decode_row(b"key", cut).is_err());
        }

        #[test]
        fn a_change_reads_back_as_it_was_written(
            updated_ms: u64, documents: u64, bytes: u64, tombstones: u64, kind in 0..3_usize,
            own: bool,
            actor in "[a-zé]{1,100}",
        ) {
            let change = Change {
                key: if own { DocumentKey::Tenant } else { member("users", "user-123") },
                kind: [ChangeKind::Put, ChangeKind::Merged, ChangeKind::Deleted][kind],
                updated_ms,
                updated_by: Actor::parse(&actor).expect("an actor"),
                totals: Totals { documents, bytes, tombstones, history_bytes: 0 },
            };
            let stored = encode_change(b"key", &change);
            prop_assert_eq!(decode_change(b"key", &stored), Ok(change));
            prop_assert_eq!(decode_change(b"kex", &stored), Err(WRONG_CHECKSUM));
        }
    }

    #[test]
    fn a_horizon_reads_back_and_only_at_its_key() {
        let stored = encode_horizon(b"ht\0", Revision::new(7));
        assert_eq!(decode_horizon(b"ht\0", &stored), Ok(Revision::new(7)));
        assert_eq!(decode_horizon(b"hu\0", &stored), Err(WRONG_CHECKSUM));
    }

    #[test]
    fn a_record_moved_to_another_key_is_damage() {
        let stored = Bytes::from(encode_row(b"dt\0users\0a", &row(1, b"{}")));
        assert_eq!(decode_row(b"dt\0users\0b", stored), Err(WRONG_CHECKSUM));
    }

    #[test]
    fn a_row_has_expired_from_its_time_on() {
        let at = |expires_ms| Row { expires_ms, ..row(1, b"{}") };
        assert!(!at(None).has_expired(u64::MAX));
        assert!(!at(Some(8)).has_expired(7));
        assert!(at(Some(8)).has_expired(8));
        assert!(at(Some(8)).has_expired(9));
    }

    #[test]
    fn totals_count_what_a_write_replaces_and_what_it_leaves() {
        use Held::{Document, Nothing, Tombstone};
        let totals = |documents, bytes, tombstones| Totals {
            documents,
            bytes,
            tombstones,
            ..Totals::default()
        };
        let before = totals(3, 100, 5);
        assert_eq!(before.with(Tombstone, Tombstone), before);
        assert_eq!(before.with(Nothing, Document(20)), totals(4, 120, 5));
        assert_eq!(before.with(Nothing, Tombstone), totals(3, 100, 6));
        assert_eq!(before.with(Tombstone, Document(20)), totals(4, 120, 4));
        assert_eq!(before.with(Document(30), Document(20)), totals(3, 90, 5));
        assert_eq!(before.with(Document(30), Tombstone), totals(2, 70, 6));
        assert_eq!(before.with(Tombstone, Nothing), totals(3, 100, 4));
        assert_eq!(totals(0, 0, 0).with(Document(30), Tombstone), totals(0, 0, 1));
    }

    /// Returns a record with these fields behind the version, and a checksum that holds.
    fn sealed(key: &[u8], fields: &[u8], text: &[u8]) -> Bytes {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(fields);
        bytes.extend_from_slice(&checksum(key, &bytes, text).to_le_bytes());
        append(&mut bytes, text);
        Bytes::from(bytes)
    }

    #[test]
    fn a_record_that_nobody_writes_is_malformed() {
        let fields = |state: u8| [&[state][..], &[0; 16]].concat();
        assert!(decode_row(b"k", sealed(b"k", &fields(EXISTS), b"{}")).is_ok());
        assert!(decode_row(b"k", sealed(b"k", &fields(TOMBSTONE), b"")).is_ok());
        let unknown_state = decode_row(b"k", sealed(b"k", &fields(EXPIRES + 1), b"{}"));
        assert_eq!(unknown_state, Err(MALFORMED));
        let tombstone_with_text = decode_row(b"k", sealed(b"k", &fields(TOMBSTONE), b"{}"));
        assert_eq!(tombstone_with_text, Err(MALFORMED));
        assert_eq!(decode_horizon(b"k", &sealed(b"k", &[7; 8], b"x")), Err(MALFORMED));
        assert!(decode_horizon(b"k", &sealed(b"k", &[7; 8], b"")).is_ok());
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_checksum_apart_is_of_everything_in_the_row() {
        let all = checksum_apart(b"key", 7, Some(b"{}"), Some(9));
        for other in [
            checksum_apart(b"kez", 7, Some(b"{}"), Some(9)),
            checksum_apart(b"key", 8, Some(b"{}"), Some(9)),
            checksum_apart(b"key", 7, Some(b"{ }"), Some(9)),
            checksum_apart(b"key", 7, None, Some(9)),
            checksum_apart(b"key", 7, Some(b"{}"), Some(8)),
            checksum_apart(b"key", 7, Some(b"{}"), None),
        ] {
            assert_ne!(all, other);
        }
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_by_name() {
        let mut stored = encode_row(b"key", &row(1, b"{}"));
        stored[0] = VERSION + 1;
        assert_eq!(decode_row(b"key", Bytes::from(stored)), Err(UNKNOWN_VERSION));
    }
}
