//! The payload of a log record: what one group changed, tenant by tenant.
//!
//! ```text
//! record   version (1)  count  tenant…
//! tenant   name  flags (1)  [head: revision  updated_ms  documents  bytes  tombstones]  [horizon]
//!          updated_ms  count  write…  count  removal…
//! write    flags (1)  key  revision  [base]  [updated_ms]  [actor]  [expires_ms]  text
//! removal  key  revision
//! text     nothing, or whole:  length  bytes
//!          or edits:  length of the result  checksum (8)  count  edit…
//! edit     bytes kept before it  bytes replaced  length  bytes
//! ```
//!
//! Integers are LEB128 of at most 64 bits, but for flags and checksums (little-endian); names are a
//! length and the bytes. `docs/format.md` has the same in tables.

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::{
    engine::{ChangeKind, Head, RowWrite, Totals, record::Damage},
    merge::Edits,
    types::{Actor, CollectionName, DocId, DocumentKey, Revision, TenantId},
};

const VERSION: u8 = 1;

const HAS_HEAD: u8 = 1;
const HAS_HORIZON: u8 = 2;

const KIND_MASK: u8 = 0b11;
const HAS_BASE: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const HAS_OWN_TIME: u8 = 1 << 4;
const HAS_ACTOR: u8 = 1 << 5;
const HAS_EDITS: u8 = 1 << 6;

const CUT_SHORT: Damage = Damage("a log record ends too early");
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
            text.extend_from_slice(run);
            text.extend_from_slice(inserted);
            rest = after.get(*replaced..).ok_or(DOES_NOT_FIT)?;
        }
        text.extend_from_slice(rest);
        if text.len() != self.result_bytes || checksum(&text) != self.checksum {
            return Err(Damage("the text that edits lead to does not match its checksum"));
        }
        Ok(Bytes::from(text))
    }
}

/// Returns the checksum of a text.
fn checksum(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
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
    ) {
        self.bytes(tenant.as_str().as_bytes());
        let head_flag = if head.is_some() { HAS_HEAD } else { 0 };
        self.out.push(head_flag | if horizon.is_some() { HAS_HORIZON } else { 0 });
        if let Some(Head { revision, updated_ms, totals }) = head {
            let Totals { documents, bytes, tombstones } = *totals;
            let fields = [revision.get(), *updated_ms, documents, bytes, tombstones];
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
            edits.is_some(),
        );
        match (&write.body, edits) {
            (None, _) => {}
            (Some(body), None) => self.bytes(body),
            (Some(body), Some(edits)) => self.edits(edits, body),
        }
    }

    /// Writes a write with its whole text.
    pub(crate) fn whole_write(&mut self, write: &LoggedWrite) {
        let LoggedWrite { key, kind, revision, base, updated_ms, actor, expires_ms, text } = write;
        self.write_header(key, *kind, *revision, *base, *updated_ms, actor, *expires_ms, false);
        match text {
            LoggedText::Deleted => {}
            LoggedText::Whole(text) => self.bytes(text),
            LoggedText::Edited(_) => unreachable!("only the commit path writes edits"),
        }
    }

    /// Writes the rows that are removed, which end the tenant.
    pub(crate) fn removed(&mut self, removed: &[(DocumentKey, Revision)]) {
        self.integer(removed.len() as u64);
        for (key, revision) in removed {
            self.key(key);
            self.integer(revision.get());
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
        has_edits: bool,
    ) {
        let is_other_actor = self.actor.as_ref() != Some(actor);
        let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
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
                | flag(HAS_EDITS, has_edits),
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

    fn edits(&mut self, edits: &Edits, text: &[u8]) {
        self.integer(text.len() as u64);
        self.out.extend_from_slice(&checksum(text).to_le_bytes());
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
        match key {
            DocumentKey::Tenant => self.integer(0),
            DocumentKey::Member { collection, id } => {
                let (collection, id) = (collection.as_str().as_bytes(), id.as_str().as_bytes());
                self.integer((collection.len() + 1 + id.len()) as u64);
                self.out.extend_from_slice(collection);
                self.out.push(0);
                self.out.extend_from_slice(id);
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn integer(&mut self, mut integer: u64) {
        while integer >= 0x80 {
            self.out.push(integer as u8 | 0x80);
            integer >>= 7;
        }
        self.out.push(integer as u8);
    }
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
    let TenantChange { tenant, head, horizon, writes, removed } = change;
    let updated_ms = writes.first().map_or(0, |write| write.updated_ms);
    encoder.tenant(tenant, head.as_ref(), *horizon, updated_ms, writes.len());
    writes.iter().for_each(|write| encoder.whole_write(write));
    encoder.removed(removed);
}

/// Reads a record.
pub(crate) fn decode(payload: Bytes) -> Result<Vec<TenantChange>, Damage> {
    let mut decoder = Decoder { rest: payload };
    if decoder.byte()? != VERSION {
        return Err(UNKNOWN_VERSION);
    }
    let tenants = decoder.integer()?;
    let changes = (0..tenants).map(|_| decoder.tenant()).collect::<Result<_, _>>()?;
    decoder.rest.is_empty().then_some(changes).ok_or(MALFORMED)
}

struct Decoder {
    rest: Bytes,
}

impl Decoder {
    fn tenant(&mut self) -> Result<TenantChange, Damage> {
        let tenant = TenantId::stored(self.text()?.as_str()).ok_or(MALFORMED)?;
        let flags = self.byte()?;
        let head = match flags & HAS_HEAD {
            0 => None,
            _ => Some(Head {
                revision: Revision::new(self.integer()?),
                updated_ms: self.integer()?,
                totals: Totals {
                    documents: self.integer()?,
                    bytes: self.integer()?,
                    tombstones: self.integer()?,
                },
            }),
        };
        let horizon = match flags & HAS_HORIZON {
            0 => None,
            _ => Some(Revision::new(self.integer()?)),
        };
        let updated_ms = self.integer()?;
        let mut writes: Vec<LoggedWrite> = Vec::new();
        for _ in 0..self.integer()? {
            let write = self.write(updated_ms, writes.last())?;
            writes.push(write);
        }
        let mut removed = Vec::new();
        for _ in 0..self.integer()? {
            removed.push((self.key()?, Revision::new(self.integer()?)));
        }
        Ok(TenantChange { tenant, head, horizon, writes, removed })
    }

    fn write(
        &mut self,
        updated_ms: u64,
        before: Option<&LoggedWrite>,
    ) -> Result<LoggedWrite, Damage> {
        let flags = self.byte()?;
        let kind = match flags & KIND_MASK {
            0 => ChangeKind::Put,
            1 => ChangeKind::Merged,
            2 => ChangeKind::Deleted,
            _ => return Err(MALFORMED),
        };
        let has = |flag: u8| flags & flag != 0;
        let key = self.key()?;
        let revision = self.integer()?;
        let revision = revision.wrapping_add(before.map_or(0, |before| before.revision.get()));
        let base = match has(HAS_BASE) {
            true => Some(Revision::new(revision.wrapping_sub(self.integer()?))),
            false => None,
        };
        let updated_ms = if has(HAS_OWN_TIME) { self.integer()? } else { updated_ms };
        let actor = match (has(HAS_ACTOR), before) {
            (true, _) => Actor::parse(&self.text()?).map_err(|_| MALFORMED)?,
            (false, Some(before)) => before.actor.clone(),
            (false, None) => return Err(MALFORMED),
        };
        let expires_ms = if has(EXPIRES) { Some(self.integer()?) } else { None };
        let text = match (kind, has(HAS_EDITS)) {
            (ChangeKind::Deleted, _) => LoggedText::Deleted,
            (_, false) => LoggedText::Whole(self.bytes()?),
            (_, true) => LoggedText::Edited(self.edits()?),
        };
        let revision = Revision::new(revision);
        Ok(LoggedWrite { key, kind, revision, base, updated_ms, actor, expires_ms, text })
    }

    fn edits(&mut self) -> Result<LoggedEdits, Damage> {
        let result_bytes = self.length()?;
        let checksum = self.take(8)?;
        let checksum = u64::from_le_bytes(*checksum.first_chunk().ok_or(CUT_SHORT)?);
        let mut edits = Vec::new();
        for _ in 0..self.integer()? {
            edits.push((self.length()?, self.length()?, self.bytes()?));
        }
        Ok(LoggedEdits { result_bytes, checksum, edits })
    }

    fn key(&mut self) -> Result<DocumentKey, Damage> {
        let path = self.text()?;
        if path.is_empty() {
            return Ok(DocumentKey::Tenant);
        }
        let (collection, id) = path.split_once('\0').ok_or(MALFORMED)?;
        Ok(DocumentKey::Member {
            collection: CollectionName::parse(collection).map_err(|_| MALFORMED)?,
            id: DocId::parse(id).map_err(|_| MALFORMED)?,
        })
    }

    fn text(&mut self) -> Result<String, Damage> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| MALFORMED)
    }

    fn bytes(&mut self) -> Result<Bytes, Damage> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, Damage> {
        usize::try_from(self.integer()?).map_err(|_| MALFORMED)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Damage> {
        (length <= self.rest.len()).then(|| self.rest.split_to(length)).ok_or(CUT_SHORT)
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        Ok(self.take(1)?[0])
    }

    fn integer(&mut self) -> Result<u64, Damage> {
        let (mut integer, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err(MALFORMED);
            }
            integer |= bits << shift;
            if byte < 0x80 {
                return Ok(integer);
            }
            shift += 7;
        }
    }
}
