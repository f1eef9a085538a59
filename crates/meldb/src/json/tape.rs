//! The members of a compiled text, so that a patch is read once and applied without reading it again.

use std::ops::Range;

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
    /// For each object that is still open, where its members start in `open`.
    bases: Vec<usize>,
}

impl Tape {
    /// Returns the members of the outermost value.
    pub(crate) fn roots(&self) -> &[Node] {
        &self.open
    }

    /// Returns the members of a node that is a [`Kind::Object`].
    pub(crate) fn members(&self, node: Node) -> &[Node] {
        &self.nodes[node.first as usize..(node.first + node.count) as usize]
    }

    pub(super) fn open(&mut self) {
        self.bases.push(self.open.len());
    }

    /// Ends the innermost object; the outermost one keeps its members in `open`.
    pub(super) fn close(&mut self) {
        let Some(base) = self.bases.pop() else { return };
        if self.bases.is_empty() {
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
        if let Some(parent) = self.open.last_mut() {
            *parent = Node { kind: Kind::Object { removes }, first, count, ..*parent };
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
