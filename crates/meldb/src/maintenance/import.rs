//! Imports writes of another store with their revisions and stamps.

use bytes::Bytes;

use crate::{
    commit::{committer::Committer, history::WrittenBy, unique::UniqueCheck},
    engine::{
        Change, ChangeKind, CommitError, Entry, Held, Persist, Previous, Row, RowBase, Totals,
    },
    hash::HashMap,
    limits::{EXPIRY_MS_MAX, Limits},
    merge::{Content, Stamp},
    types::{Actor, DocumentKey, DocumentPath, Error, Result, Revision, TenantId},
};

/// The last write of a document in another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastWrite {
    /// Which document.
    pub key: DocumentKey,
    /// The write's revision.
    pub revision: Revision,
    /// What was done.
    pub kind: ChangeKind,
    /// When, in epoch milliseconds.
    pub updated_ms: u64,
    /// Who did it.
    pub updated_by: Actor,
    /// The document, as JSON text of any form; `None` for a delete.
    pub text: Option<Bytes>,
    /// When it expires, in epoch milliseconds; `None` for a delete.
    pub expires_ms: Option<u64>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportStats {
    /// Writes that were stored.
    pub stored: usize,
    /// Writes whose documents were at the same revision or a later one already.
    pub skipped: usize,
}

/// Stores past writes of a tenant, all of them or none; see [`Tenant::import`](crate::Tenant::import).
pub(crate) fn import(
    committer: &Committer,
    tenant: &TenantId,
    writes: Vec<PastWrite>,
) -> Result<ImportStats> {
    let preserved = committer.exclusively(Some(tenant), || {
        let staging = Staging::new(committer, tenant, &committer.limits);
        let staged = staging.and_then(|staging| staging.all(writes));
        let (entries, skipped) = staged.map_err(CommitError::NotStarted)?;
        let preserved = ImportStats { stored: entries.len(), skipped };
        if entries.is_empty() {
            return Ok(preserved);
        }
        if let Some(source) = committer.engine.shortage() {
            return Err(CommitError::NotStarted(Error::StorageFull { source }));
        }
        committer.engine.restore(tenant, &entries, Revision::ZERO)?;
        if committer.persist == Persist::Sync {
            committer.engine.sync().map_err(CommitError::Unknown)?;
        }
        Ok(preserved)
    })?;
    committer.note_unsynced();
    committer.notify.committed(tenant);
    Ok(preserved)
}

/// Past writes that are being turned into entries.
struct Staging<'a> {
    committer: &'a Committer,
    tenant: &'a TenantId,
    limits: &'a Limits,
    /// The revision of the tenant's last write before the import.
    head: Revision,
    /// The revision and the time of the last write so far.
    last: (Revision, u64),
    totals: Totals,
    /// What was staged of each document.
    staged: HashMap<DocumentKey, Row>,
}

impl<'a> Staging<'a> {
    fn new(committer: &'a Committer, tenant: &'a TenantId, limits: &'a Limits) -> Result<Self> {
        let head = committer.engine.head(tenant)?;
        let last = (head.revision, head.updated_ms);
        let (staged, totals, head) = (HashMap::default(), head.totals, head.revision);
        Ok(Self { committer, tenant, limits, head, last, totals, staged })
    }

    /// Returns the entries to store, and how many writes are there already.
    fn all(mut self, writes: Vec<PastWrite>) -> Result<(Vec<Entry>, usize)> {
        let asked = writes.len();
        let mut entries = Vec::with_capacity(asked);
        for (index, write) in writes.into_iter().enumerate() {
            let path = DocumentPath::new(self.tenant.clone(), write.key.clone());
            let entry = self.entry(write, &path);
            entries
                .extend(entry.map_err(|error| Error::operation_failed(index, Some(path), error))?);
        }
        let skipped = asked - entries.len();
        Ok((entries, skipped))
    }

    fn entry(&mut self, write: PastWrite, path: &DocumentPath) -> Result<Option<Entry>> {
        let PastWrite { key, revision, kind, updated_ms, updated_by, text, expires_ms } = write;
        let expires_ms = expires_ms.filter(|_| text.is_some()).map(|time| time.min(EXPIRY_MS_MAX));
        let former = match self.staged.get(&key) {
            Some(staged) => Some(staged.clone()),
            None => self.committer.engine.get(self.tenant, &key)?,
        };
        let out_of_order =
            |reason: &'static str| Err(Error::OutOfOrder { path: path.clone(), revision, reason });
        if revision <= self.last.0 {
            return match former {
                Some(former) if former.revision >= revision => Ok(None),
                _ if revision <= self.head => Err(Error::NotEmpty {
                    place: format!("the tenant {}", self.tenant),
                    what: format!("another write at revision {revision}"),
                }),
                _ => out_of_order("the write before it has that revision or a later one"),
            };
        }
        if updated_ms < self.last.1 {
            return out_of_order("it is older than the write before it");
        }
        if text.is_none() != (kind == ChangeKind::Deleted) {
            return out_of_order("a delete has no text, and any other write has one");
        }
        let stamp = Stamp { updated_ms, updated_by: updated_by.as_str() };
        let body = text.map(|text| self.stored_text(path, &text, &stamp)).transpose()?;
        if let Some(body) = &body {
            self.check_unique(&key, body, updated_ms)?;
        }
        let body_bytes = body.as_ref().map(|body| body.len() as u64);
        let held = former.as_ref().map(RowBase::from).into();
        self.totals = self.totals.with(held, Held::row(body_bytes));
        let written = WrittenBy {
            key: &key,
            kind,
            actor: &updated_by,
            updated_ms,
            expires_ms,
            before: former.as_ref().and_then(|row| row.body.as_deref()),
            after: body.as_deref(),
            edits: None,
            previous: former.as_ref().map(|row| Previous::At(row.revision)),
            batch: None,
        };
        let history = self.committer.history_of(self.tenant, written)?;
        self.last = (revision, updated_ms);
        let row = Row { revision, updated_ms, body: body.clone(), expires_ms };
        self.staged.insert(key.clone(), row);
        let change = Change { key, kind, updated_ms, updated_by, totals: self.totals };
        Ok(Some(Entry { revision, change, body, expires_ms, history }))
    }

    /// Refuses a write that makes a document have the same values as another one in a unique index.
    fn check_unique(&self, key: &DocumentKey, text: &[u8], updated_ms: u64) -> Result<()> {
        let DocumentKey::Member { collection, .. } = key else { return Ok(()) };
        let unique = self.committer.indexes.unique_of(self.tenant, collection);
        if unique.is_empty() {
            return Ok(());
        }
        let check = UniqueCheck {
            engine: &*self.committer.engine,
            tenant: self.tenant,
            expiry_ms: self.committer.clock.latest_ms().max(updated_ms),
        };
        let pending = self.staged.iter().map(|(key, row)| (key, row.body.as_deref())).collect();
        unique.iter().try_for_each(|index| check.check(index, key, text, &pending))
    }

    fn stored_text(&self, path: &DocumentPath, text: &[u8], stamp: &Stamp<'_>) -> Result<Bytes> {
        let (text_max, bytes_max) = (self.limits.text_bytes_max(), self.limits.document_bytes_max);
        if text.len() > text_max {
            let (path, bytes) = (path.clone(), text.len());
            return Err(Error::TextTooLarge { path, bytes, bytes_max: text_max });
        }
        let body = Content::compile(text, &self.limits.bounds())?.stamped(stamp);
        if body.len() > bytes_max {
            return Err(Error::DocumentTooLarge {
                path: path.clone(),
                bytes: body.len(),
                bytes_max,
            });
        }
        Ok(body.into())
    }
}
