//! A document that is taken apart only where operations reach.
//!
//! Recursion is as deep as the tree is taken apart, which pointers of at most [`DEPTH_CAP`] names bound.

use std::borrow::Cow;

use json_patch::jsonptr::Pointer;

use super::budget::Budget;
use super::conflict::{ConflictKind, Stop};
use super::members::TreeMembers;
use crate::json::string::escape_into;
use crate::json::walk::{self, Elements, Members};
use crate::json::{DEPTH_CAP, DamagedText};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Tree<'t> {
    /// Canonical text, as it came.
    Raw(&'t [u8]),
    /// Boxed, so that the elements of a large array are small.
    Object(Box<TreeMembers<'t, Tree<'t>>>),
    Array(Vec<Tree<'t>>),
}

impl<'t> Tree<'t> {
    /// Takes the value apart by one level, if it is an object or array.
    pub(super) fn open(&mut self, budget: &mut Budget) -> Result<(), Stop> {
        let Tree::Raw(text) = *self else { return Ok(()) };
        match text.first() {
            Some(b'{') => {
                budget.work(text.len())?;
                let mut members = TreeMembers::default();
                for member in Members::new(text, 0) {
                    let member = member?;
                    members.push(Cow::Borrowed(&text[member.name]), Tree::Raw(&text[member.value]));
                }
                *self = Tree::Object(Box::new(members));
            }
            Some(b'[') => {
                budget.work(text.len())?;
                let elements = Elements::new(text, 0)
                    .map(|element| element.map(|element| Tree::Raw(&text[element])));
                *self = Tree::Array(elements.collect::<Result<_, DamagedText>>()?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the value that `pointer` leads to from here.
    pub(super) fn find(
        &mut self,
        pointer: &Pointer,
        budget: &mut Budget,
    ) -> Result<Option<&mut Self>, Stop> {
        if pointer.count() > DEPTH_CAP {
            return Ok(None);
        }
        let mut value = self;
        for token in pointer.tokens() {
            value.open(budget)?;
            let child = match value {
                Tree::Object(members) => members.get_mut(&canonical_name(&token.decoded())),
                Tree::Array(elements) => {
                    let index =
                        token.to_index().ok().and_then(|index| index.for_len(elements.len()).ok());
                    index.and_then(|index| elements.get_mut(index))
                }
                Tree::Raw(_) => None,
            };
            match child {
                Some(child) => value = child,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// The length of the value's text.
    pub(super) fn size(&self) -> usize {
        match self {
            Tree::Raw(text) => text.len(),
            Tree::Object(members) => {
                2 + members
                    .iter()
                    .map(|member| member.name.len() + member.value.size() + 4)
                    .sum::<usize>()
            }
            Tree::Array(elements) => {
                2 + elements.iter().map(|element| element.size() + 1).sum::<usize>()
            }
        }
    }

    /// How deep the value nests; 0 for a scalar.
    pub(super) fn depth(&self) -> usize {
        match self {
            Tree::Raw(text) => walk::depth(text),
            Tree::Object(members) => {
                1 + members.iter().map(|member| member.value.depth()).max().unwrap_or(0)
            }
            Tree::Array(elements) => 1 + elements.iter().map(Tree::depth).max().unwrap_or(0),
        }
    }

    /// Writes the value's canonical text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Raw(text) => out.extend_from_slice(text),
            Tree::Object(members) => {
                out.push(b'{');
                for (number, member) in members.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_name(out, &member.name);
                    member.value.write(out);
                }
                out.push(b'}');
            }
            Tree::Array(elements) => {
                out.push(b'[');
                for (number, element) in elements.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
        }
    }

    /// Writes the fields of a document, but for its stamps, each after a comma and a newline.
    pub(super) fn write_document(
        &mut self,
        out: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        self.open(budget)?;
        let Tree::Object(members) = self else { return Err(ConflictKind::NotAnObject.into()) };
        for member in
            members.iter().filter(|member| !matches!(&*member.name, b"updated" | b"updatedBy"))
        {
            out.extend_from_slice(b",\n");
            write_name(out, &member.name);
            member.value.write(out);
        }
        out.push(b'}');
        Ok(())
    }
}

/// The name as it stands in canonical text.
pub(super) fn canonical_name(name: &str) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(name.len());
    escape_into(&mut canonical, name);
    canonical
}

fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::json_patch::budget::WorkLeft;

    /// Takes the value apart down to its scalars; returns how many containers have anything in them.
    fn open_all(tree: &mut Tree<'_>, budget: &mut Budget) -> usize {
        tree.open(budget).expect("the text is well formed");
        match tree {
            Tree::Raw(_) => 0,
            Tree::Object(members) => {
                let names: Vec<_> = members.iter().map(|member| member.name.to_vec()).collect();
                let values = names.iter().map(|name| {
                    open_all(members.get_mut(name).expect("the name is there"), budget)
                });
                values.sum::<usize>() + usize::from(!names.is_empty())
            }
            Tree::Array(elements) => {
                let filled = usize::from(!elements.is_empty());
                filled + elements.iter_mut().map(|value| open_all(value, budget)).sum::<usize>()
            }
        }
    }

    #[test]
    fn a_value_that_is_taken_apart_is_the_value_that_it_was() {
        for (text, depth) in [
            ("1", 0),
            (r#""text""#, 0),
            ("[]", 1),
            ("{}", 1),
            ("[1]", 1),
            (r#"[1,"two",null]"#, 1),
            (r#"{"name":1}"#, 1),
            (r#"{"name":1,"other":[]}"#, 2),
            (r#"[[[1,2],3],[]]"#, 3),
            (r#"{"a":{"b":{},"c":{"d":{}}},"e":[{"f":7}]}"#, 4),
        ] {
            let mut tree = Tree::Raw(text.as_bytes());
            let filled = open_all(&mut tree, &mut Budget::new(0, 0, 1000, &WorkLeft::unlimited()));
            let mut written = Vec::new();
            tree.write(&mut written);
            assert_eq!(String::from_utf8_lossy(&written), text);
            assert_eq!(tree.depth(), depth, "{text}");
            // It counts a comma behind the last field or element as well.
            assert_eq!(tree.size(), text.len() + filled, "{text}");
        }
    }
}
