//! The bytes of an entry of history: one write of one document, with the way back to what was before it.
//!
//! ```text
//! entry     version (1)  flags (2)  updated_ms  document  actor  [previous]  [batch]  [expires_ms]
//!           [checksum of the text (8)]  [redacted: actor  time]  count  field…  before
//! before    nothing, or whole:  length  bytes
//!           or spliced:  count  splice…
//! splice    bytes kept before it  bytes replaced  length  bytes
//! stored    checksum (8)  entry
//! ```
//!
//! Integers are LEB128 of at most 64 bits, but for flags and checksums (little-endian); names are a length and the bytes.
//! The checksum of what is stored is XXH3-64 over the entry, seeded with the XXH3-64 of its key. Where a write of the
//! same commit is the one before, its revision is not known when the entry is made, and it is told as how many
//! revisions earlier it is. `docs/format.md` has the same in tables.

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::{
    record::Damage,
    rows::ChangeKind,
    wire::{Reader, write_bytes, write_integer, write_key},
};
use crate::{
    copy::append,
    types::{Actor, DocumentKey, Error, Result, Revision, TenantId},
};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

const KIND_MASK: u16 = 0b11;
const HAS_PREVIOUS: u16 = 1 << 2;
const PREVIOUS_IS_RELATIVE: u16 = 1 << 3;
const IN_BATCH: u16 = 1 << 4;
const EXPIRES: u16 = 1 << 5;
const BEFORE_WHOLE: u16 = 1 << 6;
const BEFORE_SPLICED: u16 = 1 << 7;
const REDACTED: u16 = 1 << 8;
const KNOWN_FLAGS: u16 = (1 << 9) - 1;

const MALFORMED: Damage = Damage("an entry of history is malformed");
const WRONG_CHECKSUM: Damage = Damage("the checksum of an entry of history does not match");
const UNKNOWN_VERSION: Damage = Damage("an entry of history has an unknown version");
const DOES_NOT_FIT: Damage = Damage("the way back does not fit the text");

/// One write of a document, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Which document.
    pub key: DocumentKey,
    /// What was done to it.
    pub kind: ChangeKind,
    /// When, in epoch milliseconds.
    pub updated_ms: u64,
    /// By whom.
    pub actor: Actor,
    /// The document's write before this one; `None` if there was none.
    pub previous: Option<Previous>,
    /// For a write of a batch, how many revisions before it the batch begins.
    pub batch: Option<u64>,
    /// When the document expires after the write, in epoch milliseconds.
    pub expires_ms: Option<u64>,
    /// XXH3-64 of the text that the write has left; `None` if it has left none.
    pub checksum: Option<u64>,
    /// Who has removed a value from the history of the document, and when, in epoch milliseconds.
    pub redacted: Option<(Actor, u64)>,
    /// The fields that it has changed, as JSON Pointers (RFC 6901); the empty pointer for the whole document.
    pub fields: Vec<String>,
    /// What was there before it.
    pub before: Before,
}

/// The write of a document before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// At this revision.
    At(Revision),
    /// So many revisions earlier.
    Earlier(u64),
}

/// The text of a document before a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did not exist.
    Absent,
    /// This text.
    Whole(Bytes),
    /// The text that the write has left with these changes, in ascending order.
    Spliced(Vec<Splice>),
}

/// A stretch of a text and what stood in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// How many bytes are the same since the splice before.
    pub kept: usize,
    /// How many bytes of the text are replaced.
    pub replaced: usize,
    /// What replaces them.
    pub inserted: Bytes,
}

/// Entries of history of a document, the latest first, and the revision at which the entry before them would be, if there
/// was a write.
pub type DocumentHistory = (Vec<(Revision, HistoryEntry)>, Option<Revision>);

/// Follows a document's entries from the one at `last` back, which `entry_at` returns, up to `entries_max`. It ends with the
/// first entry that is not kept.
pub(crate) fn follow(
    tenant: &TenantId,
    document: &DocumentKey,
    last: Revision,
    entries_max: usize,
    mut entry_at: impl FnMut(Revision) -> Result<Option<HistoryEntry>>,
) -> Result<DocumentHistory> {
    let (mut entries, mut next) = (Vec::new(), Some(last));
    while let Some(revision) = next.filter(|_| entries.len() < entries_max) {
        let Some(entry) = entry_at(revision)? else { break };
        if entry.key != *document {
            let reason = format!("it is of {:?}, and not of {document:?}", entry.key);
            return Err(damaged(tenant, revision, reason));
        }
        next = entry.previous_of(revision).filter(|previous| *previous < revision);
        entries.push((revision, entry));
    }
    Ok((entries, next))
}

/// Returns the error of a tenant's entry of history at a revision.
pub(crate) fn damaged(tenant: &TenantId, revision: Revision, reason: impl Into<String>) -> Error {
    Error::Damaged { what: format!("the history of {tenant} at {revision}"), reason: reason.into() }
}

/// Returns the checksum that an entry has of a text.
pub(crate) fn text_checksum(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

impl HistoryEntry {
    /// Returns the text before the write, given the one that it has left; `None` if the document did not exist.
    pub(crate) fn text_before(&self, after: Option<&Bytes>) -> Result<Option<Bytes>, Damage> {
        let splices = match &self.before {
            Before::Absent => return Ok(None),
            Before::Whole(text) => return Ok(Some(text.clone())),
            Before::Spliced(splices) => splices,
        };
        let after = after.ok_or(DOES_NOT_FIT)?;
        let (mut text, mut rest) = (Vec::with_capacity(after.len()), &after[..]);
        for Splice { kept, replaced, inserted } in splices {
            let (run, behind) = rest.split_at_checked(*kept).ok_or(DOES_NOT_FIT)?;
            append(&mut text, run);
            text.extend_from_slice(inserted);
            rest = behind.get(*replaced..).ok_or(DOES_NOT_FIT)?;
        }
        append(&mut text, rest);
        Ok(Some(Bytes::from(text)))
    }

    /// Returns the revision of the document's write before this one, which is at `revision`.
    pub(crate) fn previous_of(&self, revision: Revision) -> Option<Revision> {
        match self.previous? {
            Previous::At(previous) => Some(previous),
            Previous::Earlier(distance) => revision.get().checked_sub(distance).map(Revision::new),
        }
    }

    /// Returns the bytes of the entry, which an engine stores by [`stored`].
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(128);
        let flag = |flag: u16, is_set: bool| if is_set { flag } else { 0 };
        let kind = match self.kind {
            ChangeKind::Put => 0,
            ChangeKind::Merged => 1,
            ChangeKind::Deleted => 2,
        };
        out.push(VERSION);
        let flags: u16 = kind
            | flag(HAS_PREVIOUS, self.previous.is_some())
            | flag(PREVIOUS_IS_RELATIVE, matches!(self.previous, Some(Previous::Earlier(_))))
            | flag(IN_BATCH, self.batch.is_some())
            | flag(EXPIRES, self.expires_ms.is_some())
            | flag(BEFORE_WHOLE, matches!(self.before, Before::Whole(_)))
            | flag(BEFORE_SPLICED, matches!(self.before, Before::Spliced(_)))
            | flag(REDACTED, self.redacted.is_some());
        out.extend_from_slice(&flags.to_le_bytes());
        write_integer(&mut out, self.updated_ms);
        write_key(&mut out, &self.key);
        write_bytes(&mut out, self.actor.as_str().as_bytes());
        match self.previous {
            None => {}
            Some(Previous::At(revision)) => write_integer(&mut out, revision.get()),
            Some(Previous::Earlier(distance)) => write_integer(&mut out, distance),
        }
        for integer in [self.batch, self.expires_ms].into_iter().flatten() {
            write_integer(&mut out, integer);
        }
        if let Some(checksum) = self.checksum {
            out.extend_from_slice(&checksum.to_le_bytes());
        }
        if let Some((actor, redacted_ms)) = &self.redacted {
            write_bytes(&mut out, actor.as_str().as_bytes());
            write_integer(&mut out, *redacted_ms);
        }
        write_integer(&mut out, self.fields.len() as u64);
        for field in &self.fields {
            write_bytes(&mut out, field.as_bytes());
        }
        match &self.before {
            Before::Absent => {}
            Before::Whole(text) => write_bytes(&mut out, text),
            Before::Spliced(splices) => {
                write_integer(&mut out, splices.len() as u64);
                for Splice { kept, replaced, inserted } in splices {
                    write_integer(&mut out, *kept as u64);
                    write_integer(&mut out, *replaced as u64);
                    write_bytes(&mut out, inserted);
                }
            }
        }
        Bytes::from(out)
    }

    /// Reads the bytes of an entry.
    pub(crate) fn decode(entry: Bytes) -> Result<Self, Damage> {
        Self::read(&mut Reader::new(entry)).ok_or(MALFORMED)?
    }

    /// Reads an entry that is [`stored`] at `key`.
    pub(crate) fn decode_stored(key: &[u8], stored: Bytes) -> Result<Self, Damage> {
        Self::decode(entry_of(key, stored)?)
    }

    fn read(reader: &mut Reader) -> Option<Result<Self, Damage>> {
        if reader.byte()? != VERSION {
            return Some(Err(UNKNOWN_VERSION));
        }
        let flags = u16::from_le_bytes([reader.byte()?, reader.byte()?]);
        let has = |flag: u16| flags & flag != 0;
        if flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        let kind = match flags & KIND_MASK {
            0 => ChangeKind::Put,
            1 => ChangeKind::Merged,
            2 => ChangeKind::Deleted,
            _ => return None,
        };
        let updated_ms = reader.integer()?;
        let key = reader.key()?;
        let actor = Actor::parse(&reader.text()?).ok()?;
        let previous = match (has(HAS_PREVIOUS), has(PREVIOUS_IS_RELATIVE)) {
            (false, false) => None,
            (false, true) => return None,
            (true, false) => Some(Previous::At(Revision::new(reader.integer()?))),
            (true, true) => Some(Previous::Earlier(reader.integer()?)),
        };
        let batch = if has(IN_BATCH) { Some(reader.integer()?) } else { None };
        let expires_ms = if has(EXPIRES) { Some(reader.integer()?) } else { None };
        let checksum = match kind {
            ChangeKind::Deleted => None,
            _ => Some(reader.checksum()?),
        };
        let redacted = match has(REDACTED) {
            true => Some((Actor::parse(&reader.text()?).ok()?, reader.integer()?)),
            false => None,
        };
        let mut fields = Vec::new();
        for _ in 0..reader.integer()? {
            fields.push(reader.text()?);
        }
        let before = match (has(BEFORE_WHOLE), has(BEFORE_SPLICED)) {
            (false, false) => Before::Absent,
            (true, true) => return None,
            (true, false) => Before::Whole(reader.bytes()?),
            (false, true) => {
                let mut splices = Vec::new();
                for _ in 0..reader.integer()? {
                    let (kept, replaced) = (reader.length()?, reader.length()?);
                    splices.push(Splice { kept, replaced, inserted: reader.bytes()? });
                }
                Before::Spliced(splices)
            }
        };
        reader.is_empty().then_some(Ok(Self {
            key,
            kind,
            updated_ms,
            actor,
            previous,
            batch,
            expires_ms,
            checksum,
            redacted,
            fields,
            before,
        }))
    }
}

/// Returns what is stored at `key` of the bytes of an entry.
pub(crate) fn stored(key: &[u8], entry: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(CHECKSUM_BYTES + entry.len());
    stored.extend_from_slice(&checksum(key, entry).to_le_bytes());
    stored.extend_from_slice(entry);
    stored
}

/// Returns the bytes of the entry that is [`stored`] at `key`.
pub(crate) fn entry_of(key: &[u8], mut stored: Bytes) -> Result<Bytes, Damage> {
    let found = stored.first_chunk().copied().ok_or(MALFORMED)?;
    let entry = stored.split_off(CHECKSUM_BYTES);
    (u64::from_le_bytes(found) == checksum(key, &entry)).then_some(entry).ok_or(WRONG_CHECKSUM)
}

/// Returns the checksum of an entry that is stored at `key`.
pub(crate) fn checksum(key: &[u8], entry: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(key), entry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{CollectionName, DocId};

    fn entries() -> impl Strategy<Value = HistoryEntry> {
        let key = prop_oneof![
            Just(DocumentKey::Tenant),
            "[a-z]{1,9}".prop_map(|id| DocumentKey::Member {
                collection: CollectionName::parse("users").expect("a name"),
                id: DocId::parse(&id).expect("an id"),
            }),
        ];
        let kind =
            prop_oneof![Just(ChangeKind::Put), Just(ChangeKind::Merged), Just(ChangeKind::Deleted)];
        let previous = prop_oneof![
            any::<u64>().prop_map(|revision| Previous::At(Revision::new(revision))),
            any::<u64>().prop_map(Previous::Earlier),
        ];
        let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let splice =
            (any::<u16>(), any::<u16>(), bytes()).prop_map(|(kept, replaced, inserted)| Splice {
                kept: kept.into(),
                replaced: replaced.into(),
                inserted,
            });
        let before = prop_oneof![
            Just(Before::Absent),
            bytes().prop_map(Before::Whole),
            prop::collection::vec(splice, 0..4).prop_map(Before::Spliced),
        ];
        let fields = prop::collection::vec("(/[a-z~0]{0,5}){0,3}", 0..4);
        let numbers = (any::<u64>(), any::<Option<u64>>(), any::<Option<u64>>(), any::<u64>());
        (key, kind, "[a-z:@.]{1,9}", prop::option::of(previous), numbers, fields, before).prop_map(
            |(
                key,
                kind,
                actor,
                previous,
                (updated_ms, batch, expires_ms, checksum),
                fields,
                before,
            )| {
                HistoryEntry {
                    key,
                    kind,
                    updated_ms,
                    actor: Actor::parse(&actor).expect("an actor"),
                    previous,
                    batch,
                    expires_ms,
                    checksum: (kind != ChangeKind::Deleted).then_some(checksum),
                    redacted: batch.map(|batch| (Actor::parse("me").expect("an actor"), batch)),
                    fields,
                    before,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_reads_back_as_it_was_written(entry in entries()) {
            prop_assert_eq!(HistoryEntry::decode(entry.encode()), Ok(entry.clone()));
            let stored = Bytes::from(stored(b"key", &entry.encode()));
            prop_assert_eq!(HistoryEntry::decode_stored(b"key", stored), Ok(entry));
        }

        #[test]
        fn any_flipped_bit_any_cut_and_another_key_are_damage(
            entry in entries(), at: prop::sample::Index, bit in 0..8_u8,
        ) {
            let stored = stored(b"key", &entry.encode());
            let at = at.index(stored.len());
            let mut flipped = stored.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(HistoryEntry::decode_stored(b"key", flipped.into()).is_err());
            let cut = Bytes::copy_from_slice(&stored[..at]);
            prop_assert!(HistoryEntry::decode_stored(b"key", cut).is_err());
            prop_assert!(HistoryEntry::decode_stored(b"kez", stored.into()).is_err());
        }

        #[test]
        fn bytes_of_anything_are_damage_or_an_entry(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = [&[VERSION][..], &bytes].concat();
            if let Ok(entry) = HistoryEntry::decode(Bytes::from(bytes)) {
                prop_assert_eq!(HistoryEntry::decode(entry.encode()), Ok(entry));
            }
        }
    }
}
