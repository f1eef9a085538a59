//! The payload of a log record: what one group changed, tenant by tenant.
//!
//! ```text
//! record   version (1)  count  tenant…
//! tenant   name  flags (1)  [head: revision  updated_ms  documents  bytes  tombstones
//!          history bytes]  [horizon]
//!          updated_ms  count  write…  count  removal…  [count  history change…]
//! write    flags (1)  key  revision  [base]  [updated_ms]  [actor]  [expires_ms]  text  [history entry]
//! removal  key  revision
//! history change   revision  entry, or nothing where it is removed
//! text     nothing, or whole:  length  bytes
//!          or edits:  length of the result  checksum (8)  count  edit…
//! edit     bytes kept before it  bytes replaced  length  bytes
//! ```
//!
//! Integers are LEB128 of at most 64 bits, but for flags and checksums (little-endian); names and entries of history
//! are a length and the bytes. `docs/format.md` has the same in tables.

use bytes::Bytes;

use crate::{
    copy::append,
    engine::{
        ChangeKind, Head, RowWrite, Totals,
        history::text_checksum,
        record::Damage,
        wire::{Reader, write_bytes, write_integer, write_key},
    },
    merge::Edits,
    types::{Actor, DocumentKey, Revision, TenantId},
};

const VERSION: u8 = 1;

const HAS_HEAD: u8 = 1;
const HAS_HORIZON: u8 = 2;
const CHANGES_HISTORY: u8 = 4;

const KIND_MASK: u8 = 0b11;
const HAS_BASE: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const HAS_OWN_TIME: u8 = 1 << 4;
const HAS_ACTOR: u8 = 1 << 5;
const HAS_EDITS: u8 = 1 << 6;
const HAS_HISTORY: u8 = 1 << 7;

const MALFORMED: Damage = Damage("a log record is malformed");
const UNKNOWN_VERSION: Damage = Damage("a log record has an unknown version");

/// What a record says of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantChange {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Where it stands afterwards, if that has changed.
    pub(crate) head: Option<Head>,
    /// The revision of the last tombstone that was removed, if one was.
    pub(crate) horizon: Option<Revision>,
    /// Documents that were written, in the order of the writes.
    pub(crate) writes: Vec<LoggedWrite>,
    /// Rows that were removed without a trace, and the revisions that they had.
    pub(crate) removed: Vec<(DocumentKey, Revision)>,
    /// Entries of history that were put or removed beside those of the writes.
    pub(crate) history: Vec<(Revision, Option<Bytes>)>,
}

impl TenantChange {
    /// Returns a change of a tenant that removes some rows, and nothing else yet.
    pub(super) fn of(tenant: TenantId, removed: Vec<(DocumentKey, Revision)>) -> Self {
        let (writes, history) = (Vec::new(), Vec::new());
        Self { tenant, head: None, horizon: None, writes, removed, history }
    }
}

/// One document's write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedWrite {
    /// Which document.
    pub(crate) key: DocumentKey,
    /// What the change sequence calls it.
    pub(crate) kind: ChangeKind,
    /// The revision that it was given.
    pub(crate) revision: Revision,
    /// The revision of the row that it was made from.
    pub(crate) base: Option<Revision>,
    /// The time of the write, in epoch milliseconds.
    pub(crate) updated_ms: u64,
    /// Who made it.
    pub(crate) actor: Actor,
    /// When the document expires, in epoch milliseconds.
    pub(crate) expires_ms: Option<u64>,
    /// What it leaves.
    pub(crate) text: LoggedText,
    /// Its entry of history, if it has one.
    pub(crate) history: Option<Bytes>,
}

/// The text that a write leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoggedText {
    /// None: the document is deleted.
    Deleted,
    /// This one.
    Whole(Bytes),
    /// The base's text with edits.
    Edited(LoggedEdits),
}

/// A text as edits of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedEdits {
    /// The length of the result in bytes.
    result_bytes: usize,
    /// XXH3-64 of the result.
    checksum: u64,
    /// For each edit: bytes kept before it, bytes replaced, and what replaces them.
    edits: Vec<(usize, usize, Bytes)>,
}

impl LoggedEdits {
    /// Returns for each edit the bytes kept before it, the bytes replaced, and what replaces them.
    pub(super) fn edits(&self) -> &[(usize, usize, Bytes)] {
        &self.edits
    }

    /// Returns the text that the edits make of `base`.
    pub(crate) fn apply(&self, base: &[u8]) -> Result<Bytes, Damage> {
        const DOES_NOT_FIT: Damage = Damage("edits do not fit the text that they are of");
        let (mut text, mut rest) = (Vec::new(), base);
        text.try_reserve_exact(self.result_bytes).map_err(|_| DOES_NOT_FIT)?;
        for (kept, replaced, inserted) in &self.edits {
            let (run, after) = rest.split_at_checked(*kept).ok_or(DOES_NOT_FIT)?;
            append(&mut text, run);
            append(&mut text, inserted);
            rest = after.get(*replaced..).ok_or(DOES_NOT_FIT)?;
        }
        append(&mut text, rest);
        if text.len() != self.result_bytes || text_checksum(&text) != self.checksum {
            return Err(Damage("the text that edits lead to does not match its checksum"));
        }
        Ok(Bytes::from(text))
    }
}

/// Writes a record into a buffer that is used again and again.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    updated_ms: u64,
    revision: u64,
    actor: Option<Actor>,
}

impl<'a> Encoder<'a> {
    /// Starts a record of `tenants` tenants.
    pub(crate) fn new(out: &'a mut Vec<u8>, tenants: usize) -> Self {
        out.clear();
        out.push(VERSION);
        let mut encoder = Self { out, updated_ms: 0, revision: 0, actor: None };
        encoder.integer(tenants as u64);
        encoder
    }

    /// Starts a tenant of `writes` writes at about `updated_ms`.
    pub(crate) fn tenant(
        &mut self,
        tenant: &TenantId,
        head: Option<&Head>,
        horizon: Option<Revision>,
        updated_ms: u64,
        writes: usize,
        changes_history: bool,
    ) {
        self.bytes(tenant.as_str().as_bytes());
        self.out.push(
            flag(HAS_HEAD, head.is_some())
                | flag(HAS_HORIZON, horizon.is_some())
                | flag(CHANGES_HISTORY, changes_history),
        );
        if let Some(Head { revision, updated_ms, totals }) = head {
            let Totals { documents, bytes, tombstones, history_bytes } = *totals;
            let fields = [revision.get(), *updated_ms, documents, bytes, tombstones, history_bytes];
            fields.into_iter().for_each(|field| self.integer(field));
        }
        if let Some(horizon) = horizon {
            self.integer(horizon.get());
        }
        (self.updated_ms, self.revision, self.actor) = (updated_ms, 0, None);
        self.integer(updated_ms);
        self.integer(writes as u64);
    }

    /// Writes a write of the commit path: its text as edits of the base where they are shorter.
    pub(crate) fn row_write(
        &mut self,
        write: &RowWrite,
        revision: Revision,
        base: Option<Revision>,
    ) {
        let edits = match (&write.edits, &write.body, base) {
            (Some(edits), Some(body), Some(_)) if encoded_bytes(edits) < body.len() => Some(edits),
            _ => None,
        };
        let (kind, expires_ms) = (write.kind, write.expires_ms);
        let updated_ms = self.updated_ms;
        self.write_header(
            &write.key,
            kind,
            revision,
            base,
            updated_ms,
            &write.actor,
            expires_ms,
            flag(HAS_EDITS, edits.is_some()) | flag(HAS_HISTORY, write.history.is_some()),
        );
        match (&write.body, edits) {
            (None, _) => {}
            (Some(body), None) => self.bytes(body),
            (Some(body), Some(edits)) => {
                let checksum = write.checksum.unwrap_or_else(|| text_checksum(body));
                self.edits(edits, body, checksum);
            }
        }
        if let Some(entry) = &write.history {
            self.bytes(entry);
        }
    }

    /// Writes a write with its whole text.
    pub(crate) fn whole_write(&mut self, write: &LoggedWrite) {
        let LoggedWrite { key, kind, revision, base, updated_ms, actor, expires_ms, text, history } =
            write;
        let flags = flag(HAS_HISTORY, history.is_some());
        self.write_header(key, *kind, *revision, *base, *updated_ms, actor, *expires_ms, flags);
        match text {
            LoggedText::Deleted => {}
            LoggedText::Whole(text) => self.bytes(text),
            LoggedText::Edited(_) => unreachable!("only the commit path writes edits"),
        }
        if let Some(entry) = history {
            self.bytes(entry);
        }
    }

    /// Writes the rows that are removed, which end the tenant unless it changes history.
    pub(crate) fn removed(&mut self, removed: &[(DocumentKey, Revision)]) {
        self.integer(removed.len() as u64);
        for (key, revision) in removed {
            self.key(key);
            self.integer(revision.get());
        }
    }

    /// Writes changes of history, which end the tenant.
    fn history(&mut self, changes: &[(Revision, Option<Bytes>)]) {
        self.integer(changes.len() as u64);
        for (revision, entry) in changes {
            self.integer(revision.get());
            // No entry is empty.
            self.bytes(entry.as_deref().unwrap_or_default());
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one write, in their order")]
    fn write_header(
        &mut self,
        key: &DocumentKey,
        kind: ChangeKind,
        revision: Revision,
        base: Option<Revision>,
        updated_ms: u64,
        actor: &Actor,
        expires_ms: Option<u64>,
        flags: u8,
    ) {
        let is_other_actor = self.actor.as_ref() != Some(actor);
        let kind = match kind {
            ChangeKind::Put => 0,
            ChangeKind::Merged => 1,
            ChangeKind::Deleted => 2,
        };
        self.out.push(
            kind | flag(HAS_BASE, base.is_some())
                | flag(EXPIRES, expires_ms.is_some())
                | flag(HAS_OWN_TIME, updated_ms != self.updated_ms)
                | flag(HAS_ACTOR, is_other_actor)
                | flags,
        );
        self.key(key);
        // Most often the revision after the one before; any other wraps around.
        self.integer(revision.get().wrapping_sub(self.revision));
        self.revision = revision.get();
        if let Some(base) = base {
            self.integer(revision.get().wrapping_sub(base.get()));
        }
        if updated_ms != self.updated_ms {
            self.integer(updated_ms);
        }
        if is_other_actor {
            self.bytes(actor.as_str().as_bytes());
            self.actor = Some(actor.clone());
        }
        if let Some(expires_ms) = expires_ms {
            self.integer(expires_ms);
        }
    }

    fn edits(&mut self, edits: &Edits, text: &[u8], checksum: u64) {
        self.integer(text.len() as u64);
        self.out.extend_from_slice(&checksum.to_le_bytes());
        self.integer(edits.as_slice().len() as u64);
        let mut at = 0;
        for edit in edits.as_slice() {
            self.integer((edit.base.start - at) as u64);
            self.integer(edit.base.len() as u64);
            self.bytes(&text[edit.text.clone()]);
            at = edit.base.end;
        }
    }

    fn key(&mut self, key: &DocumentKey) {
        write_key(self.out, key);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        write_bytes(self.out, bytes);
    }

    fn integer(&mut self, integer: u64) {
        write_integer(self.out, integer);
    }
}

/// Returns a flag if it is set.
fn flag(flag: u8, is_set: bool) -> u8 {
    if is_set { flag } else { 0 }
}

/// Returns about how long edits are in a record.
fn encoded_bytes(edits: &Edits) -> usize {
    /// The integers of an edit, as long as they get in a document of a MiB.
    const EDIT_BYTES: usize = 9;
    const HEADER_BYTES: usize = 16;
    HEADER_BYTES + edits.inserted_bytes() + EDIT_BYTES * edits.as_slice().len()
}

/// Writes a record of changes that are not of the commit path.
pub(crate) fn encode(out: &mut Vec<u8>, change: &TenantChange) {
    let mut encoder = Encoder::new(out, 1);
    let TenantChange { tenant, head, horizon, writes, removed, history } = change;
    let updated_ms = writes.first().map_or(0, |write| write.updated_ms);
    let changes_history = !history.is_empty();
    encoder.tenant(tenant, head.as_ref(), *horizon, updated_ms, writes.len(), changes_history);
    writes.iter().for_each(|write| encoder.whole_write(write));
    encoder.removed(removed);
    if changes_history {
        encoder.history(history);
    }
}

/// Reads a record.
pub(crate) fn decode(payload: Bytes) -> Result<Vec<TenantChange>, Damage> {
    let mut reader = Reader::new(payload);
    if reader.byte().ok_or(MALFORMED)? != VERSION {
        return Err(UNKNOWN_VERSION);
    }
    read_record(&mut reader).filter(|_| reader.is_empty()).ok_or(MALFORMED)
}

fn read_record(reader: &mut Reader) -> Option<Vec<TenantChange>> {
    (0..reader.integer()?).map(|_| read_tenant(reader)).collect()
}

fn read_tenant(reader: &mut Reader) -> Option<TenantChange> {
    let tenant = TenantId::stored(&reader.text()?)?;
    let flags = reader.byte()?;
    let head = match flags & HAS_HEAD {
        0 => None,
        _ => Some(Head {
            revision: Revision::new(reader.integer()?),
            updated_ms: reader.integer()?,
            totals: Totals {
                documents: reader.integer()?,
                bytes: reader.integer()?,
                tombstones: reader.integer()?,
                history_bytes: reader.integer()?,
            },
        }),
    };
    let horizon = match flags & HAS_HORIZON {
        0 => None,
        _ => Some(Revision::new(reader.integer()?)),
    };
    let updated_ms = reader.integer()?;
    let mut writes: Vec<LoggedWrite> = Vec::new();
    for _ in 0..reader.integer()? {
        let write = read_write(reader, updated_ms, writes.last())?;
        writes.push(write);
    }
    let mut removed = Vec::new();
    for _ in 0..reader.integer()? {
        removed.push((reader.key()?, Revision::new(reader.integer()?)));
    }
    let mut history = Vec::new();
    if flags & CHANGES_HISTORY != 0 {
        for _ in 0..reader.integer()? {
            let (revision, entry) = (Revision::new(reader.integer()?), reader.bytes()?);
            history.push((revision, Some(entry).filter(|entry| !entry.is_empty())));
        }
    }
    Some(TenantChange { tenant, head, horizon, writes, removed, history })
}

fn read_write(
    reader: &mut Reader,
    updated_ms: u64,
    before: Option<&LoggedWrite>,
) -> Option<LoggedWrite> {
    let flags = reader.byte()?;
    let kind = match flags & KIND_MASK {
        0 => ChangeKind::Put,
        1 => ChangeKind::Merged,
        2 => ChangeKind::Deleted,
        _ => return None,
    };
    let has = |flag: u8| flags & flag != 0;
    let key = reader.key()?;
    let revision = reader.integer()?;
    let revision = revision.wrapping_add(before.map_or(0, |before| before.revision.get()));
    let base = match has(HAS_BASE) {
        true => Some(Revision::new(revision.wrapping_sub(reader.integer()?))),
        false => None,
    };
    let updated_ms = if has(HAS_OWN_TIME) { reader.integer()? } else { updated_ms };
    let actor = match (has(HAS_ACTOR), before) {
        (true, _) => Actor::parse(&reader.text()?).ok()?,
        (false, before) => before?.actor.clone(),
    };
    let expires_ms = if has(EXPIRES) { Some(reader.integer()?) } else { None };
    let text = match (kind, has(HAS_EDITS)) {
        (ChangeKind::Deleted, _) => LoggedText::Deleted,
        (_, false) => LoggedText::Whole(reader.bytes()?),
        (_, true) => LoggedText::Edited(read_edits(reader)?),
    };
    let history = if has(HAS_HISTORY) { Some(reader.bytes()?) } else { None };
    let revision = Revision::new(revision);
    Some(LoggedWrite { key, kind, revision, base, updated_ms, actor, expires_ms, text, history })
}

fn read_edits(reader: &mut Reader) -> Option<LoggedEdits> {
    let (result_bytes, checksum) = (reader.length()?, reader.checksum()?);
    let mut edits = Vec::new();
    for _ in 0..reader.integer()? {
        edits.push((reader.length()?, reader.length()?, reader.bytes()?));
    }
    Some(LoggedEdits { result_bytes, checksum, edits })
}
