//! Which of the fields that a merge touches differ between two texts of its document.

use std::collections::HashMap;
use std::ops::Range;

use super::pointer::{plain, push_name};
use super::{MemberPath, MergePatch};
use crate::json::DamagedText;
use crate::json::tape::{Kind, Siblings};
use crate::json::walk::Members;

/// A field that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedMember {
    /// The way to it from the document, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The JSON text of its value as it is now; `None` if it is not there any more.
    pub current: Option<String>,
}

impl MergePatch {
    /// Returns the fields that the patch would write, or that stand in its way, whose values in `after` are other
    /// than in `before`, in the order of the patch.
    ///
    /// A merge writes the values in it that are no objects, and the empty objects; an object in it only leads to
    /// them. Values are compared by their bytes. With `sub`, the patch is one of that sub-document, and a text that
    /// lacks it counts as one without fields. Takes time linear in the texts.
    ///
    /// # Errors
    ///
    /// One of the texts is not in the stored form.
    pub fn touched_since(
        &self,
        before: &[u8],
        after: &[u8],
        sub: Option<&MemberPath>,
    ) -> Result<Vec<ChangedMember>, DamagedText> {
        let mut pointer = Vec::new();
        let part = |text| sub.map_or(Ok(Some(text)), |sub| sub.read(text));
        let (before, after) = (part(before)?, part(after)?);
        for needle in sub.map_or(&[][..], |sub| &sub.needles) {
            push_name(&mut pointer, &needle[1..needle.len() - 2]);
        }
        let mut walk = Walk { patch: self, pointer, changed: Vec::new() };
        walk.members(self.roots(), before, after)?;
        Ok(walk.changed)
    }
}

struct Walk<'p> {
    patch: &'p MergePatch,
    pointer: Vec<u8>,
    changed: Vec<ChangedMember>,
}

impl Walk<'_> {
    /// Compares what a level of the patch names in two objects; `None` where there is none.
    fn members(
        &mut self,
        level: Siblings<'_>,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<(), DamagedText> {
        let (earlier, later) = (by_name(before)?, by_name(after)?);
        for node in level.nodes {
            let needle = &self.patch.text()[node.needle()];
            let name = &needle[1..needle.len() - 2];
            let before = earlier.get(name).and_then(|range| before?.get(range.clone()));
            let after = later.get(name).and_then(|range| after?.get(range.clone()));
            if before == after {
                continue;
            }
            let length = self.pointer.len();
            push_name(&mut self.pointer, name);
            let inside = match node.kind {
                Kind::Object(object) => Some(self.patch.members(object)),
                _ => None,
            };
            let inside = inside.filter(|inside| !inside.nodes.is_empty());
            if let Some(inside) = inside
                && is_object_or_missing(before)
                && is_object_or_missing(after)
            {
                self.members(inside, before, after)?;
            } else {
                let text = |value: &[u8]| String::from_utf8(value.to_vec());
                let current = after.map(text).transpose().map_err(|_| DamagedText { at: 0 })?;
                self.changed.push(ChangedMember { pointer: plain(&self.pointer)?, current });
            }
            self.pointer.truncate(length);
        }
        Ok(())
    }
}

fn is_object_or_missing(value: Option<&[u8]>) -> bool {
    value.is_none_or(|value| value.first() == Some(&b'{'))
}

/// Returns where the values of an object's fields are.
fn by_name(object: Option<&[u8]>) -> Result<HashMap<&[u8], Range<usize>>, DamagedText> {
    let Some(object) = object else { return Ok(HashMap::new()) };
    let named = |member: crate::json::walk::Member| (&object[member.name], member.value);
    Members::new(object, 0).map(|member| Ok(named(member?))).collect()
}
