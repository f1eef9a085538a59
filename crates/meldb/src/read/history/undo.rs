//! What a write would have to do to take earlier ones back.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::versions::document_at;
use crate::{
    commit::core::Core,
    engine::{
        Row,
        history_walk::{At, End, Step, Walk},
    },
    merge::{Bounds, Diff, JsonPatch, PatchFailure, Stamp, overlaps, value_at},
    read::expiry_time::ExpiryTime,
    types::{
        Actor, Condition, Document, DocumentKey, DocumentPath, Error, Expiry, Result, Revision,
        TenantId,
    },
};

/// How many entries are looked at in one read.
const PAGE_ENTRIES: usize = 256;

/// A write that restores an earlier version of a document, or undoes a part of its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undo {
    pub(crate) path: DocumentPath,
    pub(crate) action: UndoAction,
    /// The write is made only if the document is still the one that it was made for.
    pub(crate) condition: Condition,
    pub(crate) expiry: Expiry,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UndoAction {
    Put(Bytes),
    /// A JSON Patch (RFC 6902).
    Patch(String),
    Delete,
}

/// The writes of an actor to one document, and which of them are taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UndoneDocument {
    pub(crate) undo: Option<Undo>,
    pub(crate) path: DocumentPath,
    /// What is taken back: the write and the field.
    pub(crate) undone: Vec<(Revision, String)>,
    /// What is left, since others have changed it later.
    pub(crate) left: Vec<(Revision, String)>,
}

/// A document as it is.
struct Current<'a> {
    core: &'a Core,
    path: DocumentPath,
    row: Option<Row>,
}

impl<'a> Current<'a> {
    fn read(core: &'a Core, path: DocumentPath) -> Result<Self> {
        let row = core.engine().get(&path.tenant, &path.key)?;
        Ok(Self { core, path, row })
    }

    fn walk(&self) -> Walk<'_> {
        Walk::from(self.core.engine(), &self.path.tenant, &self.path.key, self.row.as_ref())
    }

    fn text(&self) -> Option<&Bytes> {
        self.row.as_ref()?.body.as_ref()
    }

    fn damaged<E>(&self, _: E) -> Error {
        let reason = "its text is not canonical JSON".to_owned();
        Error::Damaged { what: self.path.to_string(), reason }
    }

    /// Returns the write that makes the document `wanted`, which expires then if it does not exist.
    fn undo(&self, wanted: Option<&Bytes>, expires_ms: Option<u64>) -> Result<Undo> {
        let time = ExpiryTime::of(self.core, &self.path.tenant);
        let live = match &self.row {
            Some(row) if !time.has_passed(row)? => row.body.as_ref().map(|_| row.revision),
            _ => None,
        };
        let (action, expiry) = match (live.and(self.text()), wanted) {
            (_, None) => (UndoAction::Delete, Expiry::Keep),
            (None, Some(wanted)) => (UndoAction::Put(wanted.clone()), self.expiry_at(expires_ms)),
            (Some(current), Some(wanted)) => {
                let diff = Diff::between(current, wanted).map_err(|error| self.damaged(error))?;
                (UndoAction::Patch(diff.forward), Expiry::Keep)
            }
        };
        let condition = live.map_or(Condition::Absent, Condition::Matches);
        Ok(Undo { path: self.path.clone(), action, condition, expiry })
    }

    /// Returns the expiry of a version that expires then: never, if that has passed.
    fn expiry_at(&self, expires_ms: Option<u64>) -> Expiry {
        let now_ms = self.core.committer.clock.latest_ms();
        let expires_ms = expires_ms.filter(|expires_ms| *expires_ms > now_ms);
        expires_ms.map_or(Expiry::Never, Expiry::At)
    }

    /// Returns the write that makes the whole document `wanted`, its time of expiry included.
    fn revert(&self, wanted: Option<Bytes>, expires_ms: Option<u64>) -> Result<Undo> {
        let mut undo = self.undo(wanted.as_ref(), expires_ms)?;
        if let (Some(wanted), UndoAction::Patch(_)) = (wanted, &undo.action) {
            (undo.action, undo.expiry) = (UndoAction::Put(wanted), self.expiry_at(expires_ms));
        }
        Ok(undo)
    }

    /// Returns `text` with fields as they are in `before`.
    fn restored<'f>(
        &self,
        text: &Bytes,
        before: &[u8],
        fields: impl Iterator<Item = &'f str>,
    ) -> Result<Bytes> {
        let mut operations = Vec::new();
        for field in fields {
            let path = serde_json::Value::from(field);
            let is_there = value_at(text, field).map_err(|error| self.damaged(error))?.is_some();
            match value_at(before, field).map_err(|error| self.damaged(error))? {
                Some(value) => {
                    let value = std::str::from_utf8(value).map_err(|error| self.damaged(error))?;
                    operations.push(format!(r#"{{"op":"add","path":{path},"value":{value}}}"#));
                }
                None if is_there => {
                    operations.push(format!(r#"{{"op":"remove","path":{path}}}"#));
                }
                None => {}
            }
        }
        let patch = format!("[{}]", operations.join(","));
        let bounds = Bounds { depth_max: crate::merge::DEPTH_CAP, name_bytes_max: usize::MAX };
        let patch = JsonPatch::compile(patch.as_bytes(), &bounds);
        let patch = patch.map_err(|error| self.damaged(error))?;
        let stamp = Stamp { updated_ms: 0, updated_by: "meldb:undo" };
        let bytes_max = text.len() + before.len() + 1024;
        let restored = patch.apply(text, &stamp, bytes_max);
        match restored {
            Ok(text) => Ok(Bytes::from(text)),
            Err(PatchFailure::Conflict(source)) => {
                Err(Error::PatchConflict { path: self.path.clone(), source })
            }
            Err(error) => Err(self.damaged(error)),
        }
    }
}

/// Returns the write that takes back what the write at `revision` has changed of the document or sub-document at `path`,
/// and nothing else.
pub(crate) fn undo_of(core: &Core, path: &DocumentPath, revision: Revision) -> Result<Undo> {
    let current = Current::read(core, path.whole())?;
    let inside = path.sub_pointer();
    let mut later: Vec<String> = Vec::new();
    let mut walk = current.walk();
    let mut since = None;
    while let Some(step) = walk.next()? {
        since = Some(step.revision);
        if step.revision < revision {
            return Err(Error::NoSuchVersion { path: path.clone(), revision });
        }
        if step.revision > revision {
            later.extend(step.entry.fields);
            continue;
        }
        let fields = part_of(&step.entry.fields, inside.as_deref());
        if fields.is_empty() && !step.entry.fields.is_empty() {
            return Err(Error::NoSuchVersion { path: path.clone(), revision });
        }
        let again: BTreeSet<_> = later
            .into_iter()
            .filter(|late| fields.iter().any(|field| overlaps(field, late)))
            .collect();
        if !again.is_empty() {
            let fields = again.into_iter().collect();
            return Err(Error::UndoConflict { path: path.clone(), revision, fields });
        }
        return undo_step(&current, &step, &fields);
    }
    Err(match (&current.row, walk.end()) {
        (None, _) => Error::NotFound { path: path.clone() },
        // From before it was created.
        (Some(_), End::Beginning) => Error::NoSuchVersion { path: path.clone(), revision },
        (Some(_), End::Unknown(_)) => {
            Error::HistoryExpired { what: path.to_string(), revision, since }
        }
    })
}

fn undo_step(current: &Current<'_>, step: &Step, fields: &[String]) -> Result<Undo> {
    let is_whole = fields.iter().any(String::is_empty);
    match (current.text(), &step.before) {
        (Some(text), Some(before)) if !is_whole => {
            let fields = fields.iter().map(String::as_str);
            current.undo(Some(&current.restored(text, before, fields)?), None)
        }
        (_, before) => current
            .undo(before.as_ref(), expiry_of(current, step.entry.previous_of(step.revision))?),
    }
}

/// Returns when a version of the document would expire.
fn expiry_of(current: &Current<'_>, revision: Option<Revision>) -> Result<Option<u64>> {
    let Some(revision) = revision else { return Ok(None) };
    let entry = current.core.engine().history_entry(&current.path.tenant, revision)?;
    Ok(entry.and_then(|entry| entry.expires_ms))
}

/// Returns the fields that are part of a sub-document; where a field holds it, the whole of it is.
fn part_of(fields: &[String], inside: Option<&str>) -> Vec<String> {
    let Some(inside) = inside else { return fields.to_vec() };
    let part = fields.iter().filter(|field| overlaps(field, inside));
    let part: BTreeSet<_> =
        part.map(|field| if field.len() < inside.len() { inside } else { &**field }).collect();
    part.into_iter().map(str::to_owned).collect()
}

/// Returns the write that restores the version of the document or sub-document at `path` after the write at `revision`.
pub(crate) fn revert_of(core: &Core, path: &DocumentPath, revision: Revision) -> Result<Undo> {
    let current = Current::read(core, path.whole())?;
    let version = document_at(core, path.whole(), At::Revision(revision))?;
    let Some(inside) = path.sub_pointer() else {
        let expires_ms = version.as_ref().and_then(Document::expires_ms);
        return current.revert(version.map(Document::into_bytes), expires_ms);
    };
    let Some(text) = current.text() else { return Err(Error::NotFound { path: path.clone() }) };
    let before = version.map(Document::into_bytes).unwrap_or_else(|| Bytes::from_static(b"{}"));
    let restored = current.restored(text, &before, std::iter::once(&*inside))?;
    current.undo(Some(&restored), None)
}

/// Returns, for each document that `actor` has written after `since`, what takes these writes back where nobody else has
/// changed the same fields later.
pub(crate) fn undone_by(
    core: &Core,
    tenant: &TenantId,
    actor: &Actor,
    since: Revision,
) -> Result<Vec<UndoneDocument>> {
    let horizon = core.engine().history_horizon(tenant)?;
    if since < horizon {
        let (what, since_kept) = (tenant.to_string(), Some(horizon.next()));
        return Err(Error::HistoryExpired { what, revision: since, since: since_kept });
    }
    let mut documents: BTreeSet<DocumentKey> = BTreeSet::new();
    let mut after = Some(since);
    while let Some(from) = after {
        let page = core.engine().history_after(tenant, from, PAGE_ENTRIES)?;
        after = page.next;
        for entry in page.decoded(tenant) {
            let (_, entry) = entry?;
            if entry.actor == *actor {
                documents.insert(entry.key);
            }
        }
    }
    documents
        .into_iter()
        .map(|key| undone_of(core, DocumentPath::new(tenant.clone(), key), actor, since))
        .collect()
}

fn undone_of(
    core: &Core,
    path: DocumentPath,
    actor: &Actor,
    since: Revision,
) -> Result<UndoneDocument> {
    let current = Current::read(core, path.clone())?;
    let (mut undone, mut left) = (Vec::new(), Vec::new());
    let mut others: Vec<String> = Vec::new();
    let mut text = current.text().cloned();
    let mut first = None;
    let mut walk = current.walk();
    while let Some(step) = walk.next()? {
        if step.revision <= since {
            break;
        }
        let Step { revision, entry, before, .. } = step;
        if entry.actor != *actor {
            others.extend(entry.fields);
            continue;
        }
        first = entry.previous_of(revision);
        let (blocked, free): (Vec<_>, Vec<_>) = entry
            .fields
            .into_iter()
            .partition(|field| others.iter().any(|other| overlaps(field, other)));
        let is_whole = free.iter().any(String::is_empty);
        text = match (text, before) {
            (Some(text), Some(before)) if !is_whole => {
                Some(current.restored(&text, &before, free.iter().map(String::as_str))?)
            }
            (_, before) if is_whole => before,
            (text, _) => text,
        };
        undone.extend(free.into_iter().map(|field| (revision, field)));
        // What is left stands in the way of what lies under it.
        others.extend(blocked.iter().cloned());
        left.extend(blocked.into_iter().map(|field| (revision, field)));
    }
    let undo = match undone.is_empty() {
        true => None,
        false => {
            let undo = current.undo(text.as_ref(), expiry_of(&current, first)?)?;
            // Made and taken back already.
            let is_nothing = match &undo.action {
                UndoAction::Patch(patch) => patch == "[]",
                UndoAction::Delete => undo.condition == Condition::Absent,
                UndoAction::Put(_) => false,
            };
            (!is_nothing).then_some(undo)
        }
    };
    Ok(UndoneDocument { undo, path, undone, left })
}
