//! Finding named fields in a stored text.

use std::ops::Range;

use super::path::canonical;
use crate::json::{
    DamagedText,
    scan::find_member,
    walk::{Members, value_end},
};

/// So many top-level fields are looked for one by one, when they are asked for; more of them all at once.
const SINGLE_ROOTS_MAX: usize = 4;

/// Fields that are looked for in documents, each once however often it is named.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// By the canonical bytes of their names.
    roots: Vec<Tree>,
    slots: usize,
}

/// A field to find, and what is to be found in it.
#[derive(Debug)]
pub(super) struct Tree {
    /// The canonical name behind a newline, in quotes and with its colon, as it stands at the top level.
    needle: Vec<u8>,
    slot: Option<usize>,
    children: Vec<Tree>,
}

/// A field among [`Fields`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    root: usize,
    slot: usize,
}

/// Where the fields of one document are.
#[derive(Debug)]
pub(super) struct Located {
    values: Vec<Option<Range<usize>>>,
    /// Which roots have been looked for.
    is_known: Vec<bool>,
}

impl Tree {
    fn new(name: &[u8]) -> Self {
        let needle = [b"\n\"", name, b"\":"].concat();
        Self { needle, slot: None, children: Vec::new() }
    }

    fn name(&self) -> &[u8] {
        &self.needle[2..self.needle.len() - 2]
    }

    /// Whether the field itself is wanted.
    pub(super) fn is_whole(&self) -> bool {
        self.slot.is_some()
    }

    pub(super) fn children(&self) -> &[Self] {
        &self.children
    }

    /// Returns the tree of this name in `trees`.
    pub(super) fn find<'t>(trees: &'t [Self], name: &[u8]) -> Option<&'t Self> {
        let found = trees.binary_search_by(|tree| tree.name().cmp(name)).ok()?;
        Some(&trees[found])
    }

    fn find_or_add<'t>(trees: &'t mut Vec<Self>, name: &[u8]) -> &'t mut Self {
        let at = match trees.binary_search_by(|tree| tree.name().cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                trees.insert(at, Self::new(name));
                at
            }
        };
        &mut trees[at]
    }

    /// Notes where the fields are of which `value` is the one of this tree.
    fn locate(
        &self,
        text: &[u8],
        value: Range<usize>,
        values: &mut [Option<Range<usize>>],
    ) -> Result<(), DamagedText> {
        if !self.children.is_empty() && text.get(value.start) == Some(&b'{') {
            locate_all(&self.children, text, value.start, values)?;
        }
        if let Some(slot) = self.slot {
            values[slot] = Some(value);
        }
        Ok(())
    }
}

/// Looks for all trees in the object at `open`, up to the last one found.
fn locate_all(
    trees: &[Tree],
    text: &[u8],
    open: usize,
    values: &mut [Option<Range<usize>>],
) -> Result<(), DamagedText> {
    let mut left = trees.len();
    for member in Members::new(text, open) {
        let member = member?;
        let Some(tree) = Tree::find(trees, &text[member.name]) else { continue };
        tree.locate(text, member.value, values)?;
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

impl Fields {
    /// Adds the field that these names lead to.
    pub(super) fn add(&mut self, names: &[String]) {
        let mut trees = &mut self.roots;
        for (index, name) in names.iter().enumerate() {
            let tree = Tree::find_or_add(trees, &canonical(name));
            if index + 1 == names.len() && tree.slot.is_none() {
                tree.slot = Some(self.slots);
                self.slots += 1;
            }
            trees = &mut tree.children;
        }
    }

    /// Returns a field that was added; call it when all are.
    pub(super) fn slot(&self, names: &[String]) -> Option<Slot> {
        let mut trees = &self.roots[..];
        let (mut slot, mut root) = (None, 0);
        for (index, name) in names.iter().enumerate() {
            let name = canonical(name);
            let at = trees.binary_search_by(|tree| tree.name().cmp(&name[..])).ok()?;
            root = if index == 0 { at } else { root };
            slot = trees[at].slot;
            trees = &trees[at].children;
        }
        Some(Slot { root, slot: slot? })
    }

    /// Returns the top-level fields.
    pub(super) fn roots(&self) -> &[Tree] {
        &self.roots
    }

    /// Returns where nothing has been looked for.
    pub(super) fn nothing_located(&self) -> Located {
        Located { values: vec![None; self.slots], is_known: vec![false; self.roots.len()] }
    }

    /// Returns the value of a field in the stored text that `located` is of; `None` if it is missing.
    pub(super) fn value<'t>(
        &self,
        slot: Slot,
        text: &'t [u8],
        located: &mut Located,
    ) -> Result<Option<&'t [u8]>, DamagedText> {
        if !located.is_known[slot.root] {
            if self.roots.len() > SINGLE_ROOTS_MAX {
                locate_all(&self.roots, text, 0, &mut located.values)?;
                located.is_known.fill(true);
            } else {
                let root = &self.roots[slot.root];
                if let Some(at) = find_member(text, &root.needle) {
                    let start = at + root.needle.len();
                    let end = value_end(text, start).ok_or(DamagedText { at })?;
                    root.locate(text, start..end, &mut located.values)?;
                }
                located.is_known[slot.root] = true;
            }
        }
        Ok(located.values[slot.slot].as_ref().map(|value| &text[value.clone()]))
    }
}

impl Located {
    /// Forgets everything, for the next document.
    pub(super) fn clear(&mut self) {
        self.values.fill(None);
        self.is_known.fill(false);
    }
}
