//! The members of a compiled text, so that a patch is read once and applied without reading it again.

use std::ops::Range;

use super::hash_index::HashIndex;

/// One member (or array element) of a compiled text; positions are offsets into that text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Where the name's opening quote is.
    pub(crate) start: u32,
    /// Where the value starts, right after the colon.
    pub(crate) value: u32,
    pub(crate) end: u32,
    pub(crate) kind: Kind,
    /// The first of the value's own members on the tape, if it is a [`Kind::Object`], and how many there are.
    first: u32,
    count: u32,
    /// Which index finds its members by name, or [`NO_INDEX`].
    index: u32,
}

const NO_INDEX: u32 = u32::MAX;

/// The members of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Siblings<'t> {
    pub(crate) nodes: &'t [Node],
    /// Finds them by name, if they are more than are compared one by one.
    pub(crate) index: Option<&'t HashIndex>,
}

/// What a node's value means to a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything that replaces what is stored.
    Value,
    /// `null`: the member goes.
    Remove,
    /// An object whose members are on the tape.
    Object {
        /// Whether it holds a [`Kind::Remove`] at any depth.
        removes: bool,
    },
}

impl Node {
    /// The name in quotes and the colon.
    pub(crate) fn needle(self) -> Range<usize> {
        self.start as usize..self.value as usize
    }

    /// The value's text.
    pub(crate) fn value(self) -> Range<usize> {
        self.value as usize..self.end as usize
    }

    /// The whole member: name, colon and value.
    pub(crate) fn member(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// All nodes of a text; the members of one object stand side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    /// While compiling: members of the objects that are still open, innermost last. Afterwards: of the outermost.
    open: Vec<Node>,
    /// The indexes by which compiling has looked for duplicate names, numbered like the members.
    indexes: Vec<HashIndex>,
    /// Whether the last index is that of the outermost.
    root_indexed: bool,
}

impl Tape {
    /// Returns the members of the outermost value.
    pub(crate) fn roots(&self) -> Siblings<'_> {
        Siblings { nodes: &self.open, index: self.indexes.last().filter(|_| self.root_indexed) }
    }

    /// Returns the members of a node that is a [`Kind::Object`].
    pub(crate) fn members(&self, node: Node) -> Siblings<'_> {
        Siblings {
            nodes: &self.nodes[node.first as usize..(node.first + node.count) as usize],
            index: self.indexes.get(node.index as usize),
        }
    }

    /// Starts an object; returns what [`Self::close`] wants to know.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Ends the innermost object; the outermost one keeps its members in `open`.
    pub(super) fn close(&mut self, base: usize, index: Option<Box<HashIndex>>, outermost: bool) {
        if outermost {
            self.root_indexed = index.is_some();
            self.indexes.extend(index.map(|index| *index));
            return;
        }
        let first = self.nodes.len() as u32;
        let removes = self.open[base..].iter().any(|node| match node.kind {
            Kind::Remove => true,
            Kind::Value => false,
            Kind::Object { removes } => removes,
        });
        self.nodes.extend(self.open.drain(base..));
        let count = self.nodes.len() as u32 - first;
        let index = index.map_or(NO_INDEX, |index| {
            self.indexes.push(*index);
            self.indexes.len() as u32 - 1
        });
        if let Some(parent) = self.open.last_mut() {
            *parent = Node { kind: Kind::Object { removes }, first, count, index, ..*parent };
        }
    }

    pub(super) fn item(&mut self, start: usize, value: usize) {
        self.open.push(Node {
            start: start as u32,
            value: value as u32,
            end: value as u32,
            kind: Kind::Value,
            first: 0,
            count: 0,
            index: NO_INDEX,
        });
    }

    pub(super) fn null(&mut self) {
        if let Some(node) = self.open.last_mut() {
            node.kind = Kind::Remove;
        }
    }

    pub(super) fn item_ended(&mut self, end: usize) {
        if let Some(node) = self.open.last_mut() {
            node.end = end as u32;
        }
    }

    /// Takes the last item back.
    pub(super) fn forget_item(&mut self) {
        self.open.pop();
    }
}
