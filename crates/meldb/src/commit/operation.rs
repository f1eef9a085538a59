//! One write, applied to one document. Pure: texts in, texts out.

use bytes::Bytes;

use crate::{
    engine::ChangeKind,
    limits::Limits,
    merge::{
        self, Content, Edits, FieldSet, JsonPatch, MemberPath, MergePatch, PatchFailure, Stamp,
        WorkLeft,
    },
    types::{Actor, Condition, DocumentPath, Effect, Error, Expiry, Result, Revision},
};

/// A write, ready to join the commit queue.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) path: DocumentPath,
    /// The way to the sub-document, if the write is to one.
    pub(crate) sub: Option<MemberPath>,
    pub(crate) actor: Actor,
    pub(crate) condition: Condition,
    pub(crate) action: Action,
    pub(crate) expiry: Expiry,
    /// A write that would change no member is not made.
    pub(crate) skip_unchanged: bool,
    /// Whether the outcome says what has changed.
    pub(crate) diff: bool,
    /// The length of the text that was sent, for the size of groups.
    pub(crate) text_bytes: usize,
    /// Its result on its caller's thread, if it was applied there.
    pub(crate) ahead: Option<Box<Ahead>>,
}

#[derive(Debug)]
pub(crate) enum Action {
    Put(Content),
    Merge(MergePatch),
    Patch(JsonPatch),
    Delete,
}

/// The document that an operation finds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    /// The stored text.
    pub(crate) text: &'a [u8],
    /// `None` when an earlier write of the same group made it and has no revision yet.
    pub(crate) revision: Option<Revision>,
    /// When it expires.
    pub(crate) expires_ms: Option<u64>,
}

/// What an operation makes of what it finds.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// The document is to be stored with this text, to expire then, or deleted.
    Write {
        body: Option<Bytes>,
        /// How the text came from the one that was found, if the merge has told.
        edits: Option<Edits>,
        kind: ChangeKind,
        effect: Effect,
        expires_ms: Option<u64>,
    },
    /// Nothing is to be stored.
    Unchanged,
}

/// The result of an operation that was applied on its caller's thread, ahead of the leader.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) applied_to: AppliedTo,
    pub(crate) updated_ms: u64,
    pub(crate) applied: Result<Applied>,
}

/// What an operation was applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppliedTo {
    /// The committed document; `None` where there is none.
    Committed(Option<Revision>),
    /// The document as an earlier operation of the same batch has left it, and whether it exists.
    Batch(bool),
}

impl Operation {
    /// Returns the top-level fields that the write may change.
    pub(crate) fn fields(&self) -> FieldSet {
        match (&self.sub, &self.action) {
            (Some(sub), _) => sub.fields(),
            (None, Action::Merge(patch)) => patch.fields(),
            (None, Action::Put(_) | Action::Patch(_) | Action::Delete) => FieldSet::ALL,
        }
    }

    /// Returns what the leader makes of the document that it finds: what was made of it ahead, if that was
    /// applied to the same. `found` is `None` where another request of the group has written the document.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if the document is no longer what the operation was applied to ahead.
    pub(crate) fn settle(
        &self,
        found: Option<AppliedTo>,
        base: Option<Base<'_>>,
        updated_ms: u64,
        limits: &Limits,
        left: &mut WorkLeft,
    ) -> Result<Applied> {
        let Some(ahead) = &self.ahead else {
            return self.apply(base, updated_ms, limits, left);
        };
        if found != Some(ahead.applied_to) {
            return Err(Error::Overtaken { path: self.path.clone() });
        }
        match ahead.applied.clone()? {
            Applied::Write { body: Some(text), kind, effect, expires_ms, .. }
                if updated_ms != ahead.updated_ms =>
            {
                let body = Some(self.restamped(&text, updated_ms)?);
                let expires_ms = self.expiry.resolve(updated_ms, expires_ms);
                // The edits were of the text with the other time.
                Ok(Applied::Write { body, edits: None, kind, effect, expires_ms })
            }
            applied => Ok(applied),
        }
    }

    /// Returns what the operation makes of `base`, stamped with `updated_ms`, with no more work than is
    /// left to its request.
    ///
    /// A missing document comes before a condition that does not hold: a merge into nothing is
    /// `NotFound`, whatever its condition (RFC 9110 §13.2.1).
    pub(crate) fn apply(
        &self,
        base: Option<Base<'_>>,
        updated_ms: u64,
        limits: &Limits,
        left: &mut WorkLeft,
    ) -> Result<Applied> {
        let exists = self.exists_in(base.map(|base| base.text))?;
        if !exists && !self.creates() {
            return Err(self.not_found());
        }
        self.check_condition(exists, base)?;
        let stamp = Stamp { updated_ms, updated_by: self.actor.as_str() };
        let applied = self.change(base, &stamp, exists, limits, left)?;
        if let Applied::Write { body: Some(body), .. } = &applied
            && body.len() > limits.document_bytes_max
        {
            return Err(Error::DocumentTooLarge {
                path: self.path.clone(),
                bytes: body.len(),
                bytes_max: limits.document_bytes_max,
            });
        }
        Ok(applied)
    }

    /// Returns whether what the operation is about, a document or a sub-document, is in `text`.
    pub(crate) fn exists_in(&self, text: Option<&[u8]>) -> Result<bool> {
        Ok(self.part(text)?.is_some())
    }

    /// Returns what the operation is about: all of `text`, or its sub-document.
    pub(crate) fn part<'t>(&self, text: Option<&'t [u8]>) -> Result<Option<&'t [u8]>> {
        match (text, &self.sub) {
            (Some(text), Some(sub)) => sub.read(text).map_err(|_| self.damaged()),
            (text, _) => Ok(text),
        }
    }

    /// Returns whether the operation makes what it does not find.
    pub(crate) fn creates(&self) -> bool {
        matches!(self.action, Action::Put(_))
    }

    /// Returns whether the operation deletes a document, and not a part of it.
    pub(crate) fn is_whole_delete(&self) -> bool {
        matches!(self.action, Action::Delete) && self.sub.is_none()
    }

    fn check_condition(&self, exists: bool, base: Option<Base<'_>>) -> Result<()> {
        match self.condition {
            // What documents were is not known here: the plan has looked at that.
            Condition::Any | Condition::Unchanged { .. } => Ok(()),
            Condition::Absent if exists => Err(Error::AlreadyExists { path: self.path.clone() }),
            Condition::Absent => Ok(()),
            Condition::Present if exists => Ok(()),
            Condition::Present => Err(self.not_found()),
            Condition::Matches(expected) => {
                let found = base.filter(|_| exists).map(|base| base.revision);
                if found == Some(Some(expected)) {
                    return Ok(());
                }
                Err(Error::RevisionMismatch {
                    path: self.path.clone(),
                    expected,
                    found: found.flatten(),
                })
            }
        }
    }

    /// Returns when the document is to expire that is written at `now_ms`.
    fn expires_ms(&self, base: Option<Base<'_>>, now_ms: u64) -> Option<u64> {
        let is_whole_put = matches!(self.action, Action::Put(_)) && self.sub.is_none();
        let kept = base.filter(|_| !is_whole_put).and_then(|base| base.expires_ms);
        self.expiry.resolve(now_ms, kept)
    }

    fn change(
        &self,
        found: Option<Base<'_>>,
        stamp: &Stamp<'_>,
        exists: bool,
        limits: &Limits,
        left: &mut WorkLeft,
    ) -> Result<Applied> {
        let base = found.map(|found| found.text);
        let expires_ms = self.expires_ms(found, stamp.updated_ms);
        let mut edits = None;
        let (kind, effect, body) = match (&self.action, base) {
            (Action::Put(content), _) => {
                // A sub-document's parent is merged into, unless it was not there.
                let merged = self.sub.is_some() && base.is_some();
                let kind = if merged { ChangeKind::Merged } else { ChangeKind::Put };
                let effect = if exists { Effect::Replaced } else { Effect::Created };
                (kind, effect, self.put(content, base, stamp)?)
            }
            (_, None) => return Err(self.not_found()),
            (Action::Merge(patch), Some(base)) => {
                let (text, made_by) = self.merge(patch, base, stamp)?;
                edits = made_by;
                (ChangeKind::Merged, Effect::Merged, text)
            }
            (Action::Patch(patch), Some(base)) => {
                let text = self.patch(patch, base, stamp, limits.document_bytes_max, left)?;
                (ChangeKind::Merged, Effect::Merged, text)
            }
            (Action::Delete, Some(base)) => match &self.sub {
                None => {
                    let (kind, effect) = (ChangeKind::Deleted, Effect::Deleted);
                    let (body, expires_ms) = (None, None);
                    return Ok(Applied::Write { body, edits, kind, effect, expires_ms });
                }
                Some(sub) => {
                    let text = sub.delete(base, stamp).map_err(|_| self.damaged())?;
                    let text = text.ok_or_else(|| self.not_found())?;
                    (ChangeKind::Merged, Effect::Deleted, text)
                }
            },
        };
        if self.skip_unchanged
            && let Some(found) = found
            && expires_ms == found.expires_ms
            && self.same_content(found.text, &body)
        {
            return Ok(Applied::Unchanged);
        }
        Ok(Applied::Write { body: Some(Bytes::from(body)), edits, kind, effect, expires_ms })
    }

    fn put(&self, content: &Content, base: Option<&[u8]>, stamp: &Stamp<'_>) -> Result<Vec<u8>> {
        match &self.sub {
            None => Ok(content.stamped(stamp)),
            Some(sub) => sub.replace(base, content, stamp).map_err(|_| self.damaged()),
        }
    }

    /// Returns the merged text, and the edits that it came by where the merge knows them.
    fn merge(
        &self,
        patch: &MergePatch,
        base: &[u8],
        stamp: &Stamp<'_>,
    ) -> Result<(Vec<u8>, Option<Edits>)> {
        let merged = match &self.sub {
            None => {
                let merged = patch.apply_with_edits(base, stamp);
                merged.map(|(text, edits)| Some((text, Some(edits))))
            }
            Some(sub) => sub.merge(base, patch, stamp).map(|text| Some((text?, None))),
        };
        merged.map_err(|_| self.damaged())?.ok_or_else(|| self.not_found())
    }

    fn patch(
        &self,
        patch: &JsonPatch,
        base: &[u8],
        stamp: &Stamp<'_>,
        bytes_max: usize,
        left: &mut WorkLeft,
    ) -> Result<Vec<u8>> {
        let patched = match &self.sub {
            None => patch.apply_within(base, stamp, bytes_max, left).map(Some),
            Some(sub) => sub.patch_within(base, patch, stamp, bytes_max, left),
        };
        match patched {
            Ok(text) => text.ok_or_else(|| self.not_found()),
            Err(PatchFailure::Conflict(source)) => {
                Err(Error::PatchConflict { path: self.path.clone(), source })
            }
            Err(_) => Err(self.damaged()),
        }
    }

    /// Returns a text that the operation has left, stamped with another time.
    fn restamped(&self, text: &[u8], updated_ms: u64) -> Result<Bytes> {
        let stamp = Stamp { updated_ms, updated_by: self.actor.as_str() };
        let restamped = match &self.sub {
            Some(sub) if !matches!(self.action, Action::Delete) => sub.restamped(text, &stamp),
            _ => merge::restamped(text, &stamp),
        };
        restamped.map(Bytes::from).map_err(|_| self.damaged())
    }

    fn same_content(&self, before: &[u8], after: &[u8]) -> bool {
        match &self.sub {
            None => merge::same_content(before, after),
            Some(sub) => sub.same_content(before, after),
        }
    }

    fn not_found(&self) -> Error {
        Error::NotFound { path: self.path.clone() }
    }

    pub(crate) fn damaged(&self) -> Error {
        Error::Damaged {
            what: self.path.to_string(),
            reason: "its text is not canonical JSON".to_owned(),
        }
    }
}
