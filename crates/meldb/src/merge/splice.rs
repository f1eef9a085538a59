//! Applying a merge patch to a stored text: copying runs, and writing only what the patch names.

use super::Stamp;
use super::edits::{Edits, Recorder};
use super::merge_patch::MergePatch;
use super::pending::Pending;
use crate::copy::append;
use crate::json::DamagedText;
use crate::json::scan::{find_member, newlines};
use crate::json::tape::{Kind, Node, Siblings};
use crate::json::walk::{container_end, string_end, value_end};

/// How much is looked through before it is copied: it should still be in the first-level cache then.
const BLOCK_BYTES: usize = 8 * 1024;

impl MergePatch {
    /// Returns the stored text of `base` after the merge, with a new stamp.
    ///
    /// What the patch does not name keeps its bytes and its place; a replaced field keeps its place; new fields come
    /// last, in the patch's order. The result nests no deeper than the deeper of document and patch. Takes little more
    /// than a copy of `base`, and never more than linear time.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn apply(&self, base: &[u8], stamp: &Stamp<'_>) -> Result<Vec<u8>, DamagedText> {
        self.apply_with_edits(base, stamp).map(|(text, _)| text)
    }

    /// As [`apply`](Self::apply), and returns by which edits the text came from `base` as well.
    ///
    /// # Errors
    ///
    /// `base` is not in the stored form.
    pub fn apply_with_edits(
        &self,
        base: &[u8],
        stamp: &Stamp<'_>,
    ) -> Result<(Vec<u8>, Edits), DamagedText> {
        let mut out = Vec::with_capacity(base.len() + self.text().len() + stamp.size_hint());
        stamp.write(&mut out);
        Splice::new(base, self, out).document()
    }
}

/// A document on its way from `base` to `out`.
struct Splice<'a> {
    base: &'a [u8],
    patch: &'a MergePatch,
    out: Vec<u8>,
    /// Up to here `base` has been copied, or left out on purpose.
    copied: usize,
    /// Which runs of `base` were copied where.
    runs: Recorder,
}

/// How far into an object a merge had to look.
enum Reached {
    /// Between two of its tokens: every name was found before the end.
    Inside(usize),
    /// The position after its closing bracket.
    End(usize),
}

impl<'a> Splice<'a> {
    /// `out` holds the new stamps already.
    fn new(base: &'a [u8], patch: &'a MergePatch, out: Vec<u8>) -> Self {
        Self { base, patch, out, copied: 0, runs: Recorder::default() }
    }

    /// Merges the whole patch into the whole document; returns the new text, and how it came from the base.
    fn document(mut self) -> Result<(Vec<u8>, Edits), DamagedText> {
        let stamps_end = super::stored::stamps_end(self.base)?;
        self.copied = stamps_end;
        let roots = self.patch.roots();
        if let [node] = roots.nodes {
            if !self.search(stamps_end, *node)? {
                self.add_top_level(*node)?;
            }
        } else {
            let mut pending = Pending::new(self.patch.text(), roots);
            self.walk(stamps_end, &mut pending)?;
            for node in pending.rest() {
                self.add_top_level(node)?;
            }
        }
        self.copy_to(self.base.len())?;
        let edits = self.runs.finish(self.base.len(), self.out.len());
        Ok((self.out, edits))
    }

    /// Adds a field that the document does not have.
    fn add_top_level(&mut self, node: Node) -> Result<(), DamagedText> {
        if node.kind != Kind::Remove {
            self.copy_to(self.base.len() - 1)?;
            self.out.extend_from_slice(b",\n");
            self.write_member(node);
        }
        Ok(())
    }

    /// Searches for the only name, block by block; false if the document does not have it.
    fn search(&mut self, from: usize, node: Node) -> Result<bool, DamagedText> {
        let base = self.base;
        let needle = &self.patch.text()[node.start as usize - 1..node.value as usize];
        let mut block = from;
        while block < base.len() {
            let block_end = base.len().min(block + BLOCK_BYTES);
            // A field that starts in the block may end in the next.
            let end = base.len().min(block_end + needle.len() - 1);
            if let Some(offset) = find_member(&base[block..end], needle) {
                return self.top_level_member(block + offset, None, node).map(|()| true);
            }
            self.copy_block(block_end)?;
            block = block_end;
        }
        Ok(false)
    }

    /// Visits every top-level field from `from` on, block by block, until all names have been found.
    fn walk(&mut self, from: usize, pending: &mut Pending<'a>) -> Result<(), DamagedText> {
        let base = self.base;
        let mut starts = Vec::with_capacity((base.len() - from).min(BLOCK_BYTES) / 32);
        let mut block = from;
        while block < base.len() && !pending.is_done() {
            let block_end = base.len().min(block + BLOCK_BYTES);
            starts.clear();
            newlines(&base[block..block_end], block, &mut starts);
            for (number, &newline) in starts.iter().enumerate() {
                if let Some(node) = pending.take(&base[newline + 1..]) {
                    self.top_level_member(newline, starts.get(number + 1).copied(), node)?;
                    if pending.is_done() {
                        return Ok(());
                    }
                }
            }
            self.copy_block(block_end)?;
            block = block_end;
        }
        Ok(())
    }

    /// Copies the block that has been looked through, but for its last byte: it may be the comma of a field that goes.
    fn copy_block(&mut self, block_end: usize) -> Result<(), DamagedText> {
        if self.copied < block_end - 1 { self.copy_to(block_end - 1) } else { Ok(()) }
    }

    /// Merges `node` into the stored field whose newline is at `newline`; `next` is the newline after it, if known.
    fn top_level_member(
        &mut self,
        newline: usize,
        next: Option<usize>,
        node: Node,
    ) -> Result<(), DamagedText> {
        let value = newline + 1 + node.needle().len();
        if let Kind::Object(object) = node.kind
            && self.base.get(value) == Some(&b'{')
        {
            let patch = self.patch;
            return self.object(value, patch.members(object)).map(drop);
        }
        let next = next.or_else(|| {
            memchr::memchr(b'\n', self.base.get(value..)?).map(|length| value + length)
        });
        let end = next.unwrap_or(self.base.len()) - 1;
        if end <= value || !matches!(self.base.get(end), Some(b',' | b'}')) {
            return Err(DamagedText { at: value });
        }
        if node.kind == Kind::Remove {
            // The stamps are always before it, so there is a comma before it.
            self.copy_to(newline - 1)?;
        } else {
            self.copy_to(value)?;
            self.write_value(node);
        }
        self.copied = end;
        Ok(())
    }

    /// Merges `siblings` into the nested object whose opening bracket is at `open`. As deep as the patch is.
    fn object(&mut self, open: usize, siblings: Siblings<'a>) -> Result<Reached, DamagedText> {
        let mut pending = Pending::new(self.patch.text(), siblings);
        let mut start = open + 1;
        // Whether a field stays in front of `start`, so that what follows needs a comma.
        let mut kept = false;
        if self.base.get(start) == Some(&b'}') {
            return self.close_object(start, &pending, kept);
        }
        loop {
            if pending.is_done() {
                return Ok(Reached::Inside(start));
            }
            let rest = self.base.get(start..).filter(|rest| rest.first() == Some(&b'"'));
            let rest = rest.ok_or(DamagedText { at: start })?;
            let found = pending.take(rest);
            let end = match found {
                None => {
                    kept = true;
                    self.skip_member(start)?
                }
                Some(node) if node.kind == Kind::Remove => {
                    let end = self.skip_value(start + node.needle().len())?;
                    // The comma that goes is the one before the field, or the one after it if no other comes before.
                    self.copy_to(if kept { start - 1 } else { start })?;
                    self.copied =
                        if !kept && self.base.get(end) == Some(&b',') { end + 1 } else { end };
                    end
                }
                Some(node) => {
                    kept = true;
                    self.nested_member(start + node.needle().len(), node)?
                }
            };
            match self.base.get(end) {
                Some(b',') => start = end + 1,
                Some(b'}') => return self.close_object(end, &pending, kept),
                _ => return Err(DamagedText { at: end }),
            }
        }
    }

    /// Merges `node` into the stored value at `value`; returns the position after the stored value.
    fn nested_member(&mut self, value: usize, node: Node) -> Result<usize, DamagedText> {
        if let Kind::Object(object) = node.kind
            && self.base.get(value) == Some(&b'{')
        {
            let patch = self.patch;
            return match self.object(value, patch.members(object))? {
                Reached::End(end) => Ok(end),
                Reached::Inside(at) => container_end(self.base, at, b'}').ok_or(DamagedText { at }),
            };
        }
        let end = self.skip_value(value)?;
        self.copy_to(value)?;
        self.write_value(node);
        self.copied = end;
        Ok(end)
    }

    /// Adds what the object did not have, before its closing bracket at `close`.
    fn close_object(
        &mut self,
        close: usize,
        pending: &Pending<'_>,
        kept: bool,
    ) -> Result<Reached, DamagedText> {
        let mut comma = kept;
        for node in pending.rest().filter(|node| node.kind != Kind::Remove) {
            self.copy_to(close)?;
            if comma {
                self.out.push(b',');
            }
            comma = true;
            self.write_member(node);
        }
        Ok(Reached::End(close + 1))
    }

    fn skip_member(&self, start: usize) -> Result<usize, DamagedText> {
        let colon = string_end(self.base, start).ok_or(DamagedText { at: start })?;
        self.skip_value(colon + 1)
    }

    fn skip_value(&self, value: usize) -> Result<usize, DamagedText> {
        value_end(self.base, value).ok_or(DamagedText { at: value })
    }

    fn write_member(&mut self, node: Node) {
        self.out.extend_from_slice(&self.patch.text()[node.needle()]);
        self.write_value(node);
    }

    /// Writes the patch's value, without its nulls if they mean removal. As deep as the patch is.
    fn write_value(&mut self, node: Node) {
        let patch = self.patch;
        let object = match node.kind {
            Kind::Object(object) if patch.removes(node) => object,
            _ => return append(&mut self.out, &patch.text()[node.value()]),
        };
        self.out.push(b'{');
        let mut comma = false;
        for member in
            patch.members(object).nodes.iter().filter(|member| member.kind != Kind::Remove)
        {
            if comma {
                self.out.push(b',');
            }
            comma = true;
            self.write_member(*member);
        }
        self.out.push(b'}');
    }

    fn copy_to(&mut self, to: usize) -> Result<(), DamagedText> {
        // Ranges run backwards only where damage makes a nested value reach beyond its field.
        let run = self.base.get(self.copied..to).ok_or(DamagedText { at: to })?;
        self.runs.keep(self.copied..to, self.out.len());
        append(&mut self.out, run);
        self.copied = to;
        Ok(())
    }
}
