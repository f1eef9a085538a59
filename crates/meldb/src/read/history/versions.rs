//! The versions of a document, newest first.

use std::{fmt, sync::Arc, vec};

use crate::{
    commit::core::Core,
    engine::{
        ChangeKind, Engine, HistoryEntry, Row,
        history_walk::{At, Entries, Step, Walk, state_at},
    },
    merge::overlaps,
    types::{Actor, Document, DocumentPath, Error, Result, Revision},
};

/// How many versions are read at a time.
const PAGE_VERSIONS: usize = 64;
/// How many entries a page looks at before it ends, be it empty: the bound of its work.
const SCANNED_MAX: usize = 4096;

/// One version of a document: the write that made it, and what that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Which document.
    pub path: DocumentPath,
    /// The write's place in its tenant's order.
    pub revision: Revision,
    /// What was done.
    pub kind: ChangeKind,
    /// When, in epoch milliseconds.
    pub updated_ms: u64,
    /// Who did it.
    pub updated_by: Actor,
    /// The fields that the write has changed, as JSON Pointers (RFC 6901), in the order of their bytes; the empty pointer
    /// for a document that was created or deleted, and where more than 64 top-level fields changed. None, where only
    /// the stamps did.
    pub fields: Vec<String>,
    /// The revision of the document's version before; `None` if it did not exist before.
    pub previous: Option<Revision>,
    /// For a write of a batch, the revision of the batch's first write.
    pub batch: Option<Revision>,
    /// Who has redacted the version or the one before it, if somebody has; see
    /// [`DocumentRef::redact`](crate::DocumentRef::redact).
    pub redacted_by: Option<Actor>,
    /// When that was, in epoch milliseconds.
    pub redacted_ms: Option<u64>,
    /// The document as the write left it, if [it was asked for](crate::Writes::with_documents); `None` after a delete.
    pub document: Option<Document>,
}

impl Version {
    pub(crate) fn new(path: DocumentPath, revision: Revision, entry: HistoryEntry) -> Self {
        Self {
            path,
            revision,
            kind: entry.kind,
            updated_ms: entry.updated_ms,
            previous: entry.previous_of(revision),
            batch: entry
                .batch
                .and_then(|place| revision.get().checked_sub(place).map(Revision::new)),
            updated_by: entry.actor,
            fields: entry.fields,
            redacted_ms: entry.redacted.as_ref().map(|(_, redacted_ms)| *redacted_ms),
            redacted_by: entry.redacted.map(|(actor, _)| actor),
            document: None,
        }
    }
}

/// Some versions of a document, newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VersionPage {
    /// The versions; none, where all that were looked at changed other parts of the document.
    pub versions: Vec<Version>,
    /// Where the next page begins, for [`Versions::before`]; `None` when there is no more.
    pub next: Option<Revision>,
}

/// The versions of a document that are kept, newest first.
///
/// It is an iterator, and can be taken page by page instead. A document that was deleted has a version for that. It ends
/// where the history ends: with the version that created the document, or with the first one that is kept.
/// The cost is that of one read for each version.
pub struct Versions {
    inner: Arc<Core>,
    path: Result<DocumentPath>,
    /// What has been read and not yet returned.
    read_ahead: vec::IntoIter<Version>,
    /// The last version that was returned; `None` at the beginning.
    before: Option<Revision>,
    /// The last version that was read.
    read_to: Option<Revision>,
    /// All that there is has been read.
    has_ended: bool,
}

impl Versions {
    pub(crate) fn new(inner: &Arc<Core>, path: Result<DocumentPath>) -> Self {
        let (inner, read_ahead) = (Arc::clone(inner), Vec::new().into_iter());
        Self { inner, path, read_ahead, before: None, read_to: None, has_ended: false }
    }

    /// Starts with the last version before a revision.
    #[must_use]
    pub fn before(mut self, revision: Revision) -> Self {
        (self.before, self.read_to) = (Some(revision), Some(revision));
        self
    }

    /// Returns the next `versions_max` versions, at least one, and goes on behind them: called again, it returns the ones
    /// before.
    ///
    /// The work is bounded: of a sub-document that few writes have changed, a page may be short or empty and
    /// more may follow.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn page(&mut self, versions_max: usize) -> Result<VersionPage> {
        let page = match self.place() {
            Some(before) => read(&self.inner, &self.path, before, versions_max)?,
            None => VersionPage { versions: Vec::new(), next: None },
        };
        self.go_on(page.next);
        Ok(page)
    }

    /// Returns [`page`](Self::page) as an executor-independent future.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn page_async(&mut self, versions_max: usize) -> Result<VersionPage> {
        let page = match self.place() {
            Some(before) => {
                let (inner, path) = (Arc::clone(&self.inner), self.path.clone());
                blocking::unblock(move || read(&inner, &path, before, versions_max)).await?
            }
            None => VersionPage { versions: Vec::new(), next: None },
        };
        self.go_on(page.next);
        Ok(page)
    }

    /// Returns before which version the next page begins, `Some(None)` for the last one; `None` at the end.
    fn place(&self) -> Option<Option<Revision>> {
        match (self.read_ahead.len(), self.has_ended) {
            (0, true) => None,
            (0, false) => Some(self.read_to),
            _ => Some(self.before),
        }
    }

    /// Goes on with the versions before a revision; `None` at the end.
    fn go_on(&mut self, next: Option<Revision>) {
        self.read_ahead = Vec::new().into_iter();
        self.has_ended = next.is_none();
        (self.before, self.read_to) = (next, next);
    }
}

/// Returns the versions before a revision, or the last ones.
fn read(
    inner: &Core,
    path: &Result<DocumentPath>,
    before: Option<Revision>,
    versions_max: usize,
) -> Result<VersionPage> {
    let path = path.clone()?;
    let whole = path.whole();
    let inside = path.sub_pointer();
    let is_inside = |field: &String| inside.as_ref().is_none_or(|inside| overlaps(field, inside));
    let (mut versions, mut last) = (Vec::new(), None);
    let engine = inner.engine();
    let entries = Entries::from(engine, &path.tenant, &path.key, start(engine, &path, before)?);
    for (scanned, entry) in entries.enumerate() {
        let (revision, entry) = entry?;
        if versions.len() >= versions_max.max(1) || scanned == SCANNED_MAX {
            return Ok(VersionPage { versions, next: last });
        }
        last = Some(revision);
        let mut version = Version::new(whole.clone(), revision, entry);
        if inside.is_some() && !version.fields.iter().any(is_inside) {
            continue;
        }
        version.fields.retain(is_inside);
        version.path = path.clone();
        versions.push(version);
    }
    Ok(VersionPage { versions, next: None })
}

/// Returns the revision of the last version before a revision, or of the last one.
fn start(
    engine: &dyn Engine,
    path: &DocumentPath,
    before: Option<Revision>,
) -> Result<Option<Revision>> {
    // What was returned last, most often.
    if let Some(before) = before
        && let Some(entry) = engine.history_entry(&path.tenant, before)?
        && entry.key == path.key
    {
        return Ok(entry.previous_of(before));
    }
    let last = engine.get(&path.tenant, &path.key)?.map(|row| row.revision);
    let Some(before) = before else { return Ok(last) };
    let is_before = |revision: &Revision| *revision < before;
    if last.as_ref().is_none_or(is_before) {
        return Ok(last);
    }
    for entry in Entries::from(engine, &path.tenant, &path.key, last) {
        let (revision, entry) = entry?;
        let previous = entry.previous_of(revision);
        if previous.as_ref().is_none_or(is_before) {
            return Ok(previous);
        }
    }
    Ok(None)
}

impl Iterator for Versions {
    type Item = Result<Version>;

    /// Returns the next earlier version; an error ends the walk.
    fn next(&mut self) -> Option<Result<Version>> {
        loop {
            if let Some(version) = self.read_ahead.next() {
                self.before = Some(version.revision);
                return Some(Ok(version));
            }
            if self.has_ended {
                return None;
            }
            match self.page(PAGE_VERSIONS) {
                Ok(page) => self.read_ahead = page.versions.into_iter(),
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versions").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Gives versions of one document, which are in the order of their revisions, the document as each has left it.
///
/// Takes one read for each later write.
pub(crate) fn add_documents(core: &Core, versions: &mut [&mut Version]) -> Result<()> {
    let Some(path) = versions.first().map(|version| version.path.clone()) else { return Ok(()) };
    let engine = core.engine();
    let row = engine.get(&path.tenant, &path.key)?;
    let mut walk = Walk::from(engine, &path.tenant, &path.key, row.as_ref());
    for version in versions.iter_mut().rev() {
        let step = loop {
            match walk.next()? {
                Some(step) if step.revision > version.revision => {}
                step => break step.filter(|step| step.revision == version.revision),
            }
        };
        let Some(Step { revision, entry, after, .. }) = step else {
            // It was removed meanwhile.
            let (what, since) = (path.to_string(), Some(version.revision.next()));
            return Err(Error::HistoryExpired { what, revision: version.revision, since });
        };
        let (updated_ms, expires_ms) = (entry.updated_ms, entry.expires_ms);
        version.document =
            Row { revision, updated_ms, body: after, expires_ms }.document(path.clone());
    }
    Ok(())
}

/// Returns a document as it was at a moment, or the sub-document that `path` names; `None` if it did not exist.
pub(crate) fn document_at(core: &Core, path: DocumentPath, at: At) -> Result<Option<Document>> {
    let state = state_at(core.engine(), &path.tenant, &path.key, at)?;
    let state = state.map_err(|since| Error::HistoryExpired {
        what: path.to_string(),
        revision: match at {
            At::Revision(revision) => revision,
            At::Time(_) => since.unwrap_or_default(),
        },
        since,
    })?;
    let Some(revision) = state.revision else { return Ok(None) };
    let updated_ms = state.updated_ms.unwrap_or_default();
    let row = Row { revision, updated_ms, body: state.text, expires_ms: state.expires_ms };
    match row.document(path) {
        Some(document) => document.part(&core.limits()),
        None => Ok(None),
    }
}
