//! Verifies a whole store: checksums, canonical texts, changes against documents, and totals.

use std::{collections::HashMap, fmt, mem, vec};

use crate::{
    engine::{Engine, Head, Held, Record, RecordIter, Row, Totals, history_walk::Walk},
    limits::DEPTH_CEILING,
    merge::{Bounds, Content, Stamp},
    types::{Actor, DocumentKey, DocumentPath, Error, Result, Revision, TenantId},
};

/// How much of a store has been checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Tenants that were met, what the store keeps for itself not among them.
    pub tenants: u64,
    /// Documents that exist.
    pub documents: u64,
    /// Bytes of their stored texts.
    pub bytes: u64,
    /// Deleted documents of which the store keeps the revision.
    pub tombstones: u64,
    /// Entries of change sequences.
    pub changes: u64,
    /// Versions of documents in their history.
    pub versions: u64,
    /// Indexes that were compared with their documents, those that are still being built not among them.
    pub indexes: u64,
    /// What does not hold.
    pub problems: u64,
}

/// A check of a whole store: an iterator with an item a record, and at the end one a tenant.
///
/// An error is a [`Error::Damaged`] or [`Error::ReadFailed`] about one record, and the check goes
/// on. Checked are the checksum of every record over its key and its content, that each text is
/// canonical JSON with the row's own stamp, that each document has exactly one change and each
/// change its document, at the same revision, that the history of each document leads back from text to text, and that
/// each tenant's totals are what it holds, and that each index has the entries of its documents on disk. The
/// store may be written to meanwhile. Memory grows with the tenants, not with the documents.
///
/// ```
/// use meldb::Store;
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// store.tenant("tenant-alpha")?.collection("users")?.put("ada", json!({})).commit("admin")?;
/// let mut verification = store.verify();
/// assert!(verification.by_ref().all(|record| record.is_ok()));
/// assert_eq!(verification.verified().documents, 1);
/// # Ok::<(), meldb::Error>(())
/// ```
pub struct Verification<'a> {
    engine: &'a dyn Engine,
    records: Option<RecordIter<'a>>,
    tenants: HashMap<TenantId, Counted>,
    /// The tenants that are left to be compared with what they say, once the walk is over.
    left: vec::IntoIter<(TenantId, Counted)>,
    /// What the indexes of a tenant have come to, and the tenants whose indexes are still to be compared; `None` before
    /// the walk is over.
    indexes: Option<(vec::IntoIter<Result<()>>, vec::IntoIter<TenantId>)>,
    /// The engine could not walk all of it, so that nothing can be said of totals.
    has_gap: bool,
    verified: Verified,
}

/// What was met of a tenant.
struct Counted {
    /// What the tenant said of itself when it was met first.
    head: Option<Head>,
    /// The last change that was met.
    last: Revision,
    totals: Totals,
    has_history: bool,
}

impl<'a> Verification<'a> {
    pub(crate) fn new(engine: &'a dyn Engine) -> Self {
        Self {
            engine,
            records: Some(engine.records()),
            tenants: HashMap::new(),
            left: Vec::new().into_iter(),
            indexes: None,
            has_gap: false,
            verified: Verified::default(),
        }
    }
}

impl Verification<'_> {
    /// Returns what has been checked so far.
    pub fn verified(&self) -> Verified {
        self.verified
    }

    fn record(&mut self, record: Result<Record>) -> Result<()> {
        match record {
            Ok(Record::Row { tenant, key, row }) => self.row(tenant, key, &row),
            Ok(Record::Change { tenant, revision, change }) => {
                self.verified.changes += 1;
                let last = &mut self.meet(&tenant).last;
                *last = revision.max(*last);
                self.change(tenant, revision, change.key)
            }
            Ok(Record::History { tenant, entry, .. }) => {
                self.verified.versions += 1;
                let totals = &mut self.meet(&tenant).totals;
                *totals = totals.with_history(0, entry.len() as u64);
                Ok(())
            }
            Ok(Record::Other { .. }) => Ok(()),
            Err(error) => {
                self.has_gap = true;
                Err(error)
            }
        }
    }

    fn meet(&mut self, tenant: &TenantId) -> &mut Counted {
        self.tenants.entry(tenant.clone()).or_insert_with(|| {
            self.verified.tenants += u64::from(!tenant.is_internal());
            // One that cannot be read is reported where the walk comes upon its record.
            let head = self.engine.head(tenant).ok();
            let history = self.engine.history_after(tenant, Revision::ZERO, 1);
            let has_history = history.is_ok_and(|page| !page.entries.is_empty());
            Counted { head, last: Revision::ZERO, totals: Totals::default(), has_history }
        })
    }

    fn row(&mut self, tenant: TenantId, key: DocumentKey, row: &Row) -> Result<()> {
        let bytes = row.body.as_ref().map(|text| text.len() as u64);
        let totals = &mut self.meet(&tenant).totals;
        *totals = totals.and(Held::row(bytes));
        match bytes {
            None => self.verified.tombstones += 1,
            Some(bytes) => {
                self.verified.documents += 1;
                self.verified.bytes += bytes;
            }
        }
        let flaw = match flaw_of(row) {
            Some(flaw) => Some(flaw),
            None => match self.change_at(&tenant, row.revision)? {
                Some(changed) if changed == key => None,
                _ => Some("the tenant's changes do not name its last write".to_owned()),
            },
        };
        // It may have been written while it was looked at.
        let unmoved =
            || -> Result<bool> { Ok(self.engine.get(&tenant, &key)?.as_ref() == Some(row)) };
        match flaw {
            Some(reason) if unmoved()? => Err(damaged(tenant, key, reason)),
            _ => self.history(&tenant, &key, row),
        }
    }

    /// Walks back through the history of a document: each text must be the one that its write has left.
    fn history(&mut self, tenant: &TenantId, key: &DocumentKey, row: &Row) -> Result<()> {
        if !self.meet(tenant).has_history {
            return Ok(());
        }
        let mut walk = Walk::from(self.engine, tenant, key, Some(row));
        while walk.next()?.is_some() {}
        Ok(())
    }

    fn change(&mut self, tenant: TenantId, revision: Revision, key: DocumentKey) -> Result<()> {
        let row = self.engine.get(&tenant, &key)?;
        let reason = match row.map(|row| row.revision) {
            Some(found) if found == revision => return Ok(()),
            Some(found) => format!("it is at {found}, and was changed at {revision}"),
            None => format!("it was written at {revision} and is not there"),
        };
        if self.change_at(&tenant, revision)?.as_ref() == Some(&key) {
            return Err(damaged(tenant, key, reason));
        }
        Ok(())
    }

    /// Returns the document that a tenant's changes name at `revision`.
    fn change_at(&self, tenant: &TenantId, revision: Revision) -> Result<Option<DocumentKey>> {
        let before = Revision::new(revision.get().saturating_sub(1));
        let next = self.engine.changes(tenant, before, 1)?.pop();
        Ok(next.filter(|(at, _)| *at == revision).map(|(_, change)| change.key))
    }

    fn totals(&self, tenant: &TenantId, counted: &Counted) -> Result<()> {
        let head = self.engine.head(tenant)?;
        // What is walked may be how the store was before the tenant was met.
        let is_quiet = counted.head == Some(head) && counted.last == head.revision;
        if is_quiet && !self.has_gap && head.totals != counted.totals {
            let (says, holds) = (head.totals, counted.totals);
            return Err(Error::Damaged {
                what: format!("the tenant {tenant}"),
                reason: format!(
                    "it says that it holds {} documents of {} bytes, {} tombstones and {} bytes of \
                     history, and holds {} of {} bytes, {} and {}",
                    says.documents,
                    says.bytes,
                    says.tombstones,
                    says.history_bytes,
                    holds.documents,
                    holds.bytes,
                    holds.tombstones,
                    holds.history_bytes
                ),
            });
        }
        Ok(())
    }
}

impl Verification<'_> {
    /// Compares the next index with its documents.
    fn next_index(&mut self) -> Option<Result<()>> {
        let engine = self.engine;
        let (found, tenants) = self
            .indexes
            .get_or_insert_with(|| (Vec::new().into_iter(), engine.indexed_tenants().into_iter()));
        loop {
            if let Some(found) = found.next() {
                self.verified.indexes += 1;
                return Some(found);
            }
            let verified = engine.verify_indexes(&tenants.next()?);
            let found_now: Vec<_> =
                verified.into_iter().map(|(_, entries)| entries.map(drop)).collect();
            *found = found_now.into_iter();
        }
    }
}

impl Iterator for Verification<'_> {
    type Item = Result<()>;

    fn next(&mut self) -> Option<Result<()>> {
        let checked = match self.records.as_mut().map(Iterator::next) {
            Some(Some(record)) => self.record(record),
            at_the_end => {
                if at_the_end.is_some() {
                    self.records = None;
                    let tenants: Vec<_> = mem::take(&mut self.tenants).into_iter().collect();
                    self.left = tenants.into_iter();
                }
                match self.left.next() {
                    Some((tenant, counted)) => self.totals(&tenant, &counted),
                    None => self.next_index()?,
                }
            }
        };
        self.verified.problems += u64::from(checked.is_err());
        Some(checked)
    }
}

impl fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").field("verified", &self.verified).finish_non_exhaustive()
    }
}

/// Returns what is wrong with the text of a row whose checksum holds.
pub(crate) fn flaw_of(row: &Row) -> Option<String> {
    let text = row.body.as_ref()?;
    // A store may have been opened with wider limits when the text was written.
    let bounds = Bounds { depth_max: DEPTH_CEILING, name_bytes_max: usize::MAX };
    let content = match Content::compile(text, &bounds) {
        Ok(content) => content,
        Err(error) => return Some(format!("its text is not what the store writes: {error}")),
    };
    let Some(updated_by) = stamped_by(text) else {
        return Some("its text does not begin with a stamp".to_owned());
    };
    let stamp = Stamp { updated_ms: row.updated_ms, updated_by: &updated_by };
    (content.stamped(&stamp) != text[..])
        .then(|| "its text is not canonical, or its stamp is not its row's".to_owned())
}

/// The actor of a delete of which only the tombstone is left.
const UNKNOWN_WRITER: &str = "meldb repair";

/// Returns who wrote a row, as far as it says.
pub(crate) fn writer_of(row: &Row) -> Result<Actor> {
    let name = row.body.as_deref().and_then(stamped_by);
    Ok(Actor::parse(name.as_deref().unwrap_or(UNKNOWN_WRITER))?)
}

fn stamped_by(text: &[u8]) -> Option<String> {
    let stamp = text.split(|byte| *byte == b'\n').nth(2)?;
    let member = stamp.strip_prefix(b"\"updatedBy\":")?;
    let value = member.strip_suffix(b",").or_else(|| member.strip_suffix(b"}"))?;
    serde_json::from_slice(value).ok()
}

fn damaged(tenant: TenantId, key: DocumentKey, reason: String) -> Error {
    let path = DocumentPath::new(tenant, key);
    Error::Damaged { what: path.to_string(), reason }
}
