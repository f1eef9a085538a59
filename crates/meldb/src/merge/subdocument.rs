//! A document inside a document.
//!
//! Inside its document a sub-document is compact, with its stamps first if it was written as a sub-document. To write
//! it, it is brought into the stored form, treated like any document, and put back.

use super::place::{Place, cut, locate, put};
use super::stored::{compact_stamps_end, restamped, stamps_end, without_newlines};
use super::{Content, JsonPatch, MemberPath, MergePatch, PatchFailure, Stamp, WorkLeft};
use crate::copy::append;
use crate::json::DamagedText;
use crate::json::walk::Members;

impl MemberPath {
    /// Returns the text of the sub-document in the stored text `base`: compact, without newlines, as it stands there.
    ///
    /// `None` if there is nothing at the path, or something that is no object.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn read<'b>(&self, base: &'b [u8]) -> Result<Option<&'b [u8]>, DamagedText> {
        match locate(base, self)? {
            Place::Found { value, .. } if base[value.start] == b'{' => Ok(Some(&base[value])),
            _ => Ok(None),
        }
    }

    /// Returns the stored text of `base`, or of a new document, with `content` as the sub-document.
    ///
    /// Missing parents are made, and parents that are no objects replaced, as a merge would. Both stamps are new.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn replace(
        &self,
        base: Option<&[u8]>,
        content: &Content,
        stamp: &Stamp<'_>,
    ) -> Result<Vec<u8>, DamagedText> {
        put(base, self, &without_newlines(&content.stamped(stamp)), stamp)
    }

    /// Returns the stored text of `base` with `patch` merged into the sub-document; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn merge(
        &self,
        base: &[u8],
        patch: &MergePatch,
        stamp: &Stamp<'_>,
    ) -> Result<Option<Vec<u8>>, DamagedText> {
        let Some(sub) = self.read(base)? else { return Ok(None) };
        let merged = patch.apply(&stored_form(sub, stamp)?, stamp)?;
        put(Some(base), self, &without_newlines(&merged), stamp).map(Some)
    }

    /// Returns the stored text of `base` with `patch` applied to the sub-document; `None` if there is none.
    ///
    /// The whole result is held to `size_max` bytes; see [`JsonPatch::apply`].
    ///
    /// # Errors
    ///
    /// An operation fails, or `base` is not in the stored form.
    pub fn patch(
        &self,
        base: &[u8],
        patch: &JsonPatch,
        stamp: &Stamp<'_>,
        size_max: usize,
    ) -> Result<Option<Vec<u8>>, PatchFailure> {
        self.patch_within(base, patch, stamp, size_max, &mut WorkLeft::unlimited())
    }

    /// As [`patch`](Self::patch), with no more work than is left to the request.
    pub(crate) fn patch_within(
        &self,
        base: &[u8],
        patch: &JsonPatch,
        stamp: &Stamp<'_>,
        size_max: usize,
        left: &mut WorkLeft,
    ) -> Result<Option<Vec<u8>>, PatchFailure> {
        let Some(sub) = self.read(base)? else { return Ok(None) };
        let size_max = size_max.saturating_sub(base.len() - sub.len());
        let patched = patch.apply_within(&stored_form(sub, stamp)?, stamp, size_max, left)?;
        Ok(Some(put(Some(base), self, &without_newlines(&patched), stamp)?))
    }

    /// Returns a stored text with another stamp, and the same of the sub-document.
    pub(crate) fn restamped(&self, text: &[u8], stamp: &Stamp<'_>) -> Result<Vec<u8>, DamagedText> {
        let text = restamped(text, stamp)?;
        let Some(sub) = self.read(&text)? else { return Ok(text) };
        let start = sub.as_ptr() as usize - text.as_ptr() as usize;
        let stamps_end = compact_stamps_end(sub).ok_or(DamagedText { at: start })?;
        let mut own = Vec::with_capacity(stamp.size_hint());
        stamp.write(&mut own);
        let mut out = Vec::with_capacity(text.len() + stamp.size_hint());
        append(&mut out, &text[..start]);
        out.extend_from_slice(&without_newlines(&own));
        append(&mut out, &text[start + stamps_end..]);
        Ok(out)
    }

    /// Returns the stored text of `base` without the sub-document; `None` if there is none. The parents stay.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn delete(&self, base: &[u8], stamp: &Stamp<'_>) -> Result<Option<Vec<u8>>, DamagedText> {
        match self.read(base)? {
            Some(_) => cut(base, self, stamp),
            None => Ok(None),
        }
    }

    /// Whether two stored texts are the same bytes apart from the stamps of document and sub-document.
    ///
    /// A sub-document that did not have its stamps first differs from one that has.
    #[must_use]
    pub fn same_content(&self, before: &[u8], after: &[u8]) -> bool {
        match (self.without_stamps(before), self.without_stamps(after)) {
            (Some(before), Some(after)) => before == after,
            _ => false,
        }
    }

    /// The parts of `text` before the sub-document, inside it and after it, all without stamps.
    fn without_stamps<'t>(&self, text: &'t [u8]) -> Option<[&'t [u8]; 2]> {
        let start = stamps_end(text).ok()?;
        let Ok(Place::Found { value, .. }) = locate(text, self) else { return None };
        let stamps = compact_stamps_end(&text[value.clone()])?;
        Some([&text[start..value.start], &text[value.start + stamps..]])
    }
}

/// Brings a compact object into the stored form, with `stamp` in place of the stamps it may have.
fn stored_form(sub: &[u8], stamp: &Stamp<'_>) -> Result<Vec<u8>, DamagedText> {
    let mut out = Vec::with_capacity(sub.len() + sub.len() / 32 + stamp.size_hint());
    stamp.write(&mut out);
    for member in Members::new(sub, 0) {
        let member = member?;
        if !matches!(&sub[member.name.clone()], b"updated" | b"updatedBy") {
            out.extend_from_slice(b",\n");
            out.extend_from_slice(&sub[member.name.start - 1..member.value.end]);
        }
    }
    out.push(b'}');
    Ok(out)
}
