//! What has changed between two stored texts, as patches of RFC 6902 in both directions.

use std::collections::HashMap;
use std::ops::Range;

use super::pointer::push_name;
use super::stored::{without_newlines, without_stamps};
use crate::json::DamagedText;
use crate::json::walk::Members;

/// How one text becomes another, and back again.
///
/// Fields are compared by name and by the bytes of their values, so that other digits of the same number
/// are a change. Arrays are replaced whole. The stamps of the document are left out, as a patch could not set them.
/// A delete is the removal of the whole document, `""`, and backward its addition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// The JSON text of the patch that makes the earlier text the later one.
    pub forward: String,
    /// The JSON text of the patch that makes the later text the earlier one, but for the order of its fields.
    pub backward: String,
}

impl Diff {
    /// Returns the difference between two texts that are canonical objects, whether in stored form or compact.
    ///
    /// Takes time linear in both.
    ///
    /// # Errors
    ///
    /// One of them is not in that form.
    pub fn between(before: &[u8], after: &[u8]) -> Result<Self, DamagedText> {
        let mut walk =
            Walk { before, after, forward: Operations::new(), backward: Operations::new() };
        walk.object(&mut Vec::new(), 0, 0)?;
        Ok(Self { forward: walk.forward.end()?, backward: walk.backward.end()? })
    }

    /// Returns the difference between a text, in one of these forms, and none: the whole document is removed, and added
    /// again.
    ///
    /// # Errors
    ///
    /// The text is not UTF-8.
    pub(crate) fn removal(before: &[u8]) -> Result<Self, DamagedText> {
        let mut backward = Operations::new();
        backward.push("add", b"", Some(&without_newlines(&without_stamps(before))));
        Ok(Self { forward: r#"[{"op":"remove","path":""}]"#.to_owned(), backward: backward.end()? })
    }

    /// Returns whether no field has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forward == "[]"
    }
}

struct Walk<'t> {
    before: &'t [u8],
    after: &'t [u8],
    forward: Operations,
    backward: Operations,
}

impl Walk<'_> {
    /// Compares the objects that open at the two positions; `pointer` leads to both.
    fn object(
        &mut self,
        pointer: &mut Vec<u8>,
        open_before: usize,
        open_after: usize,
    ) -> Result<(), DamagedText> {
        let (before, after) = (self.before, self.after);
        let outermost = pointer.is_empty();
        let is_stamp = |name: &[u8]| outermost && matches!(name, b"updated" | b"updatedBy");
        let mut later: HashMap<&[u8], Range<usize>> = HashMap::new();
        let mut names = Vec::new();
        for member in Members::new(after, open_after) {
            let member = member?;
            let name = &after[member.name];
            if !is_stamp(name) {
                names.push(name);
                later.insert(name, member.value);
            }
        }
        for member in Members::new(before, open_before) {
            let member = member?;
            let name = &before[member.name];
            if is_stamp(name) {
                continue;
            }
            let old = &before[member.value.clone()];
            let length = pointer.len();
            push_name(pointer, name);
            match later.remove(name) {
                None => {
                    self.forward.push("remove", pointer, None);
                    self.backward.push("add", pointer, Some(old));
                }
                Some(value) if &after[value.clone()] == old => {}
                Some(value)
                    if old.first() == Some(&b'{') && after.get(value.start) == Some(&b'{') =>
                {
                    self.object(pointer, member.value.start, value.start)?;
                }
                Some(value) => {
                    self.forward.push("replace", pointer, Some(&after[value]));
                    self.backward.push("replace", pointer, Some(old));
                }
            }
            pointer.truncate(length);
        }
        for name in names {
            let Some(value) = later.remove(name) else { continue };
            let length = pointer.len();
            push_name(pointer, name);
            self.forward.push("add", pointer, Some(&after[value]));
            self.backward.push("remove", pointer, None);
            pointer.truncate(length);
        }
        Ok(())
    }
}

/// The text of an array of operations, but for its closing bracket.
struct Operations(Vec<u8>);

impl Operations {
    fn new() -> Self {
        Self(vec![b'['])
    }

    /// Returns the whole text.
    fn end(self) -> Result<String, DamagedText> {
        let mut text = self.0;
        text.push(b']');
        String::from_utf8(text).map_err(|_| DamagedText { at: 0 })
    }

    fn push(&mut self, op: &str, pointer: &[u8], value: Option<&[u8]>) {
        let out = &mut self.0;
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"op\":\"");
        out.extend_from_slice(op.as_bytes());
        out.extend_from_slice(b"\",\"path\":\"");
        out.extend_from_slice(pointer);
        out.push(b'"');
        if let Some(value) = value {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}
