//! Applying a merge patch to a stored text: copying runs, and writing only what the patch names.

use memchr::memmem;

use super::merge_patch::MergePatch;
use super::pending::Pending;
use crate::json::DamagedText;
use crate::json::tape::{Kind, Node, Siblings};
use crate::json::walk::{container_end, string_end, value_end};

/// From this length on, a few names may be searched as strings instead of by walking the members.
const SEARCH_BYTES_MIN: usize = 2048;
/// So much tells whether the members are short.
const SAMPLE_BYTES: usize = 4096;
/// Searching for one name costs as much as walking over so many members in each [`SAMPLE_BYTES`].
const MEMBERS_PER_SEARCH: usize = 10;
/// How much is looked through before it is copied: it should still be in the first-level cache then.
const BLOCK_BYTES: usize = 16 * 1024;

/// A document on its way from `base` to `out`.
pub(super) struct Splice<'a> {
    base: &'a [u8],
    patch: &'a MergePatch,
    out: Vec<u8>,
    /// Up to here `base` has been copied, or left out on purpose.
    copied: usize,
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
    pub(super) fn new(base: &'a [u8], patch: &'a MergePatch, out: Vec<u8>) -> Self {
        Self { base, patch, out, copied: 0 }
    }

    /// Merges the whole patch into the whole document.
    pub(super) fn document(mut self) -> Result<Vec<u8>, DamagedText> {
        let stamps_end = super::stored::stamps_end(self.base)?;
        self.copied = stamps_end;
        let roots = self.patch.roots();
        if let [node] = roots.nodes {
            if !self.search_one(stamps_end, *node)? {
                self.add_top_level(*node)?;
            }
        } else {
            let mut pending = Pending::new(self.patch.text(), roots);
            let search_costs = roots.nodes.len() * MEMBERS_PER_SEARCH;
            if self.base.len() >= SEARCH_BYTES_MIN && search_costs <= self.sample(stamps_end) {
                self.search(stamps_end, &mut pending, roots.nodes)?;
            } else if !pending.is_done() {
                self.walk(stamps_end, &mut pending)?;
            }
            for node in pending.rest() {
                self.add_top_level(node)?;
            }
        }
        self.copy_to(self.base.len())?;
        Ok(self.out)
    }

    /// Adds a member that the document does not have.
    fn add_top_level(&mut self, node: Node) -> Result<(), DamagedText> {
        if node.kind != Kind::Remove {
            self.copy_to(self.base.len() - 1)?;
            self.out.extend_from_slice(b",\n");
            self.write_member(node);
        }
        Ok(())
    }

    /// How many members start in the first bytes.
    fn sample(&self, from: usize) -> usize {
        let end = self.base.len().min(from + SAMPLE_BYTES);
        let members = memchr::memchr_iter(b'\n', &self.base[from..end]).count();
        members * SAMPLE_BYTES / (end - from)
    }

    /// Visits every top-level member from `from` on, until all names have been found.
    fn walk(&mut self, from: usize, pending: &mut Pending<'a>) -> Result<(), DamagedText> {
        let base = self.base;
        for offset in memchr::memchr_iter(b'\n', &base[from..]) {
            let newline = from + offset;
            if let Some(node) = pending.take(&base[newline + 1..]) {
                self.top_level_member(newline, node)?;
                if pending.is_done() {
                    break;
                }
            } else if newline > self.copied + BLOCK_BYTES {
                self.copy_to(newline - 1)?;
            }
        }
        Ok(())
    }

    /// Searches for the only name, block by block; false if the document does not have it.
    ///
    /// The newline cannot occur elsewhere, so newline and name together mark the member and nothing else.
    fn search_one(&mut self, from: usize, node: Node) -> Result<bool, DamagedText> {
        let finder = self.finder(node);
        let mut block = from;
        while block < self.base.len() {
            let block_end = self.base.len().min(block + BLOCK_BYTES);
            if let Some(newline) = self.find_in_block(&finder, block, block_end) {
                return self.top_level_member(newline, node).map(|()| true);
            }
            self.copy_block(block_end)?;
            block = block_end;
        }
        Ok(false)
    }

    /// Searches for each name in turn, block by block.
    fn search(
        &mut self,
        from: usize,
        pending: &mut Pending<'a>,
        nodes: &[Node],
    ) -> Result<(), DamagedText> {
        let mut finders: Vec<_> = nodes.iter().map(|node| (self.finder(*node), *node)).collect();
        let mut found: Vec<(usize, Node)> = Vec::new();
        let mut block = from;
        while !finders.is_empty() && block < self.base.len() {
            let block_end = self.base.len().min(block + BLOCK_BYTES);
            finders.retain(|(finder, node)| {
                let newline = self.find_in_block(finder, block, block_end);
                found.extend(newline.map(|newline| (newline, *node)));
                newline.is_none()
            });
            found.sort_unstable_by_key(|(newline, _)| *newline);
            for (newline, node) in found.drain(..) {
                pending.take(&self.base[newline + 1..]);
                self.top_level_member(newline, node)?;
            }
            self.copy_block(block_end)?;
            block = block_end;
        }
        Ok(())
    }

    fn finder(&self, node: Node) -> memmem::Finder<'a> {
        memmem::Finder::new(&self.patch.text()[node.start as usize - 1..node.value as usize])
    }

    /// Finds the newline of a member that starts in the block, and may end in the next.
    fn find_in_block(
        &self,
        finder: &memmem::Finder<'_>,
        block: usize,
        block_end: usize,
    ) -> Option<usize> {
        let end = self.base.len().min(block_end + finder.needle().len() - 1);
        finder.find(&self.base[block..end]).map(|offset| block + offset)
    }

    /// Copies the block that has been looked through, but for its last byte: it may be the comma of a member that goes.
    fn copy_block(&mut self, block_end: usize) -> Result<(), DamagedText> {
        if self.copied < block_end - 1 { self.copy_to(block_end - 1) } else { Ok(()) }
    }

    /// Merges `node` into the stored member whose newline is at `newline`.
    fn top_level_member(&mut self, newline: usize, node: Node) -> Result<(), DamagedText> {
        let value = newline + 1 + node.needle().len();
        if let Kind::Object { .. } = node.kind
            && self.base.get(value) == Some(&b'{')
        {
            let patch = self.patch;
            return self.object(value, patch.members(node)).map(drop);
        }
        let end = match memchr::memchr(b'\n', self.base.get(value..).unwrap_or_default()) {
            Some(length) => value + length - 1,
            None => self.base.len() - 1,
        };
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
        // Whether a member stays in front of `start`, so that what follows needs a comma.
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
                    // The comma that goes is the one before the member, or the one after it if no other comes before.
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
        if let Kind::Object { .. } = node.kind
            && self.base.get(value) == Some(&b'{')
        {
            let patch = self.patch;
            return match self.object(value, patch.members(node))? {
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
        if node.kind != (Kind::Object { removes: true }) {
            self.out.extend_from_slice(&self.patch.text()[node.value()]);
            return;
        }
        let patch = self.patch;
        self.out.push(b'{');
        let mut comma = false;
        for member in patch.members(node).nodes.iter().filter(|member| member.kind != Kind::Remove)
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
        // Ranges run backwards only where damage makes a nested value reach beyond its member.
        let run = self.base.get(self.copied..to).ok_or(DamagedText { at: to })?;
        self.out.extend_from_slice(run);
        self.copied = to;
        Ok(())
    }
}
