//! Running the operations of a JSON Patch (RFC 6902 §4).

use json_patch::jsonptr::{Pointer, PointerBuf};

use super::budget::{Budget, WorkLeft};
use super::conflict::{ConflictKind, PatchConflict, PatchFailure, Stop};
use super::patch::{Action, JsonPatch, Literal, Operation};
use super::tree::{Tree, canonical_name};
use crate::json::{Bounds, order::equal};
use crate::merge::Stamp;
use crate::merge::stored::stamps_end;

impl JsonPatch {
    /// Returns the stored text of `base` after all operations, with a new stamp, or `base` stays as it is.
    ///
    /// Fields off the paths keep their bytes. `test` compares values: numbers by exact value whatever their digits,
    /// strings by their characters, objects in any order. The paths `/updated` and `/updatedBy` can be used, but the
    /// stamp wins in the end. The path `""` is the whole document, stamps included; it cannot be removed.
    ///
    /// The result has at most `size_max` bytes (twice that in between), and keeps the bounds that the patch was
    /// compiled with; a document that is deeper already may stay so. Time is linear in document and patch for the
    /// usual patches; a patch that copies, compares or shifts large values over and over ends with
    /// [`ConflictKind::TooMuchWork`].
    ///
    /// # Errors
    ///
    /// The first operation that fails, or `base` is not in the stored form.
    pub fn apply(
        &self,
        base: &[u8],
        stamp: &Stamp<'_>,
        size_max: usize,
    ) -> Result<Vec<u8>, PatchFailure> {
        self.apply_within(base, stamp, size_max, &mut WorkLeft::unlimited())
    }

    /// As [`apply`](Self::apply), with no more work than is left to the request.
    pub(crate) fn apply_within(
        &self,
        base: &[u8],
        stamp: &Stamp<'_>,
        size_max: usize,
        left: &mut WorkLeft,
    ) -> Result<Vec<u8>, PatchFailure> {
        run(self, base, stamp, size_max, left)
    }
}

/// Applies the patch to a stored text.
fn run(
    patch: &JsonPatch,
    base: &[u8],
    stamp: &Stamp<'_>,
    size_max: usize,
    left: &mut WorkLeft,
) -> Result<Vec<u8>, PatchFailure> {
    stamps_end(base)?;
    let mut run = Run {
        text: &patch.text,
        bounds: patch.bounds,
        budget: Budget::new(base.len(), patch.text.len(), size_max, left),
        root: Tree::Raw(base),
    };
    let result = run.all(patch, stamp, base.len());
    left.spend(run.budget.spent());
    result.map_err(|(operation, stop)| failure(patch, operation, stop))
}

/// Returns the failure of a patch at one of its operations.
fn failure(patch: &JsonPatch, operation: usize, stop: Stop) -> PatchFailure {
    match stop {
        Stop::Damaged(damaged) => PatchFailure::Damaged(damaged),
        Stop::Conflict(kind) => {
            let pointer =
                patch.operations.get(operation).map(|operation| operation.path.as_str().to_owned());
            PatchFailure::Conflict(PatchConflict {
                operation,
                pointer: pointer.unwrap_or_default(),
                kind,
            })
        }
    }
}

struct Run<'t> {
    /// Where the literals are.
    text: &'t [u8],
    bounds: Bounds,
    budget: Budget,
    root: Tree<'t>,
}

impl<'t> Run<'t> {
    /// Runs all operations and returns the text; a failure says at which operation.
    fn all(
        &mut self,
        patch: &JsonPatch,
        stamp: &Stamp<'_>,
        size_hint: usize,
    ) -> Result<Vec<u8>, (usize, Stop)> {
        // The root is opened first, because its text has newlines that a copy of it may not have.
        self.root.open(&mut self.budget).map_err(|stop| (0, stop))?;
        for (number, operation) in patch.operations.iter().enumerate() {
            self.operation(operation).map_err(|stop| (number, stop))?;
        }
        // What is wrong with the result is blamed on the last operation.
        let last = patch.operations.len().saturating_sub(1);
        self.finish(stamp, size_hint).map_err(|stop| (last, stop))
    }

    fn operation(&mut self, operation: &Operation) -> Result<(), Stop> {
        let path = &operation.path;
        match &operation.action {
            Action::Add(literal) => self.add_literal(path, literal),
            Action::Remove => {
                let removed = self.take(path, ConflictKind::PathNotFound)?;
                self.budget.shrink(removed.size());
                Ok(())
            }
            Action::Replace(literal) => self.replace(path, literal),
            Action::Move(from) => self.move_value(from, path),
            Action::Copy(from) => self.copy_value(from, path),
            Action::Test(literal) => self.test(path, literal),
        }
    }

    fn add_literal(&mut self, path: &Pointer, literal: &Literal) -> Result<(), Stop> {
        self.check_depth(path, literal.depth)?;
        self.budget.grow(literal.range.len())?;
        self.add(path, Tree::Raw(&self.text[literal.range.clone()]))
    }

    /// RFC 6902 §4.1; the value's own size has been noted by the caller.
    fn add(&mut self, path: &Pointer, value: Tree<'t>) -> Result<(), Stop> {
        let Some((parent, last)) = path.split_back() else {
            let old = std::mem::replace(&mut self.root, value);
            self.budget.shrink(old.size());
            return Ok(());
        };
        let parent = self.root.find(parent, &mut self.budget)?.ok_or(ConflictKind::PathNotFound)?;
        parent.open(&mut self.budget)?;
        match parent {
            Tree::Object(members) => {
                let name = last.decoded();
                let limit = self.bounds.name_bytes_max;
                if name.len() > limit {
                    return Err(ConflictKind::NameTooLong { limit }.into());
                }
                let name = canonical_name(&name);
                let name_size = name.len() + 4;
                match members.insert(name, value) {
                    Some(old) => self.budget.shrink(old.size()),
                    None => self.budget.grow(name_size)?,
                }
            }
            Tree::Array(elements) => {
                let index =
                    last.to_index().ok().and_then(|index| index.for_len_incl(elements.len()).ok());
                let index = index.ok_or(ConflictKind::PathNotFound)?;
                self.budget.shift(elements.len() - index)?;
                self.budget.grow(1)?;
                elements.insert(index, value);
            }
            Tree::Raw(_) => return Err(ConflictKind::PathNotFound.into()),
        }
        Ok(())
    }

    /// Takes the value at `path` out (RFC 6902 §4.2); its own size is left to the caller.
    fn take(&mut self, path: &Pointer, otherwise: ConflictKind) -> Result<Tree<'t>, Stop> {
        let (parent, last) = path.split_back().ok_or(otherwise)?;
        let parent = self.root.find(parent, &mut self.budget)?.ok_or(otherwise)?;
        parent.open(&mut self.budget)?;
        match parent {
            Tree::Object(members) => {
                let name = canonical_name(&last.decoded());
                let value = members.remove(&name).ok_or(otherwise)?;
                self.budget.shrink(name.len() + 4);
                Ok(value)
            }
            Tree::Array(elements) => {
                let index =
                    last.to_index().ok().and_then(|index| index.for_len(elements.len()).ok());
                let index = index.ok_or(otherwise)?;
                self.budget.shift(elements.len() - index)?;
                self.budget.shrink(1);
                Ok(elements.remove(index))
            }
            Tree::Raw(_) => Err(otherwise.into()),
        }
    }

    fn replace(&mut self, path: &Pointer, literal: &Literal) -> Result<(), Stop> {
        self.check_depth(path, literal.depth)?;
        let value = Tree::Raw(&self.text[literal.range.clone()]);
        let place = self.root.find(path, &mut self.budget)?.ok_or(ConflictKind::PathNotFound)?;
        let old = std::mem::replace(place, value);
        self.budget.shrink(old.size());
        self.budget.grow(literal.range.len())?;
        Ok(())
    }

    fn move_value(&mut self, from: &PointerBuf, path: &PointerBuf) -> Result<(), Stop> {
        if path.starts_with(from) && path.count() != from.count() {
            return Err(ConflictKind::MoveIntoItself.into());
        }
        let value = self.take(from, ConflictKind::FromNotFound)?;
        if path.count() > from.count() {
            self.budget.work(value.size())?;
            self.check_depth(path, value.depth())?;
        }
        self.add(path, value)
    }

    fn copy_value(&mut self, from: &Pointer, path: &Pointer) -> Result<(), Stop> {
        let source = self.root.find(from, &mut self.budget)?.ok_or(ConflictKind::FromNotFound)?;
        let size = source.size();
        self.budget.work(size)?;
        self.budget.grow(size)?;
        let value = source.clone();
        if path.count() > from.count() {
            self.check_depth(path, value.depth())?;
        }
        self.add(path, value)
    }

    /// RFC 6902 §4.6.
    fn test(&mut self, path: &Pointer, literal: &Literal) -> Result<(), Stop> {
        let expected = &self.text[literal.range.clone()];
        let value = self.root.find(path, &mut self.budget)?.ok_or(ConflictKind::PathNotFound)?;
        let size = value.size();
        self.budget.work(size.saturating_add(expected.len()))?;
        let same = match value {
            Tree::Raw(text) => equal(text, expected)?,
            Tree::Object(_) | Tree::Array(_) => {
                let mut text = Vec::with_capacity(size);
                value.write(&mut text);
                equal(&text, expected)?
            }
        };
        if same { Ok(()) } else { Err(ConflictKind::TestFailed.into()) }
    }

    /// Checks that a value of nesting `depth` may stand at `path`.
    fn check_depth(&self, path: &Pointer, depth: usize) -> Result<(), ConflictKind> {
        let limit = self.bounds.depth();
        if depth > 0 && path.count() + depth > limit {
            return Err(ConflictKind::TooDeep { limit });
        }
        Ok(())
    }

    fn finish(&mut self, stamp: &Stamp<'_>, size_hint: usize) -> Result<Vec<u8>, Stop> {
        let mut out = Vec::with_capacity(size_hint + self.text.len() + stamp.size_hint());
        stamp.write(&mut out);
        self.root.write_document(&mut out, &mut self.budget)?;
        self.budget.finish(out.len())?;
        Ok(out)
    }
}
