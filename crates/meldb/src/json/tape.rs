//! The fields of a compiled text, so that a patch is read once and applied without reading it again.

use std::ops::Range;

use super::hash_index::HashIndex;

/// One field (or array element) of a compiled text; positions are offsets into that text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Where the name's opening quote is.
    pub(crate) start: u32,
    /// Where the value starts, right after the colon.
    pub(crate) value: u32,
    pub(crate) end: u32,
    pub(crate) kind: Kind,
}

/// Where the fields of an object are.
#[derive(Debug, Clone, Copy)]
struct Object {
    /// The first of them on the tape, and how many there are.
    first: u32,
    count: u32,
    /// Which index finds them by name, or [`NO_INDEX`].
    index: u32,
    /// Whether there is a [`Kind::Remove`] among them, at any depth.
    removes: bool,
}

const NO_INDEX: u32 = u32::MAX;

/// The fields of one object.
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
    /// `null`: the field goes.
    Remove,
    /// An object whose fields are on the tape, by its number.
    Object(u32),
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

    /// The whole field: name, colon and value.
    pub(crate) fn member(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// All nodes of a text; the fields of one object stand side by side, those of the outermost last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    objects: Vec<Object>,
    /// Where the outermost fields start among the nodes.
    roots: usize,
    /// The indexes by which compiling has looked for duplicate names, numbered like the fields.
    indexes: Vec<HashIndex>,
    /// Whether the last index is that of the outermost.
    root_indexed: bool,
}

impl Tape {
    /// Returns the fields of the outermost value.
    pub(crate) fn roots(&self) -> Siblings<'_> {
        let index = self.indexes.last().filter(|_| self.root_indexed);
        Siblings { nodes: &self.nodes[self.roots..], index }
    }

    /// Returns the fields of a [`Kind::Object`].
    pub(crate) fn members(&self, object: u32) -> Siblings<'_> {
        let Object { first, count, index, .. } = self.objects[object as usize];
        Siblings {
            nodes: &self.nodes[first as usize..(first + count) as usize],
            index: self.indexes.get(index as usize),
        }
    }

    /// Returns whether the value holds a [`Kind::Remove`] at any depth.
    pub(crate) fn removes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Value => false,
            Kind::Remove => true,
            Kind::Object(object) => self.objects[object as usize].removes,
        }
    }

    /// Takes the fields of an object over; returns where they start.
    fn add(&mut self, members: &[Node], index: Option<Box<HashIndex>>) -> usize {
        let first = self.nodes.len();
        self.nodes.extend_from_slice(members);
        self.indexes.extend(index.map(|index| *index));
        first
    }
}

/// A tape on which objects are still open.
#[derive(Debug)]
pub(super) struct Recorder {
    tape: Tape,
    /// The fields of the objects that are open, innermost last.
    open: Vec<Node>,
}

impl Recorder {
    /// Returns an empty tape with room for `members` fields.
    pub(super) fn with_capacity(members: usize) -> Self {
        let tape = Tape { nodes: Vec::with_capacity(members), ..Tape::default() };
        Self { tape, open: Vec::with_capacity(members) }
    }

    /// Starts an object; returns what [`Self::close`] wants to know.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Ends the innermost object.
    pub(super) fn close(&mut self, base: usize, index: Option<Box<HashIndex>>, outermost: bool) {
        if outermost {
            self.tape.root_indexed = index.is_some();
            self.tape.roots = self.tape.add(&self.open, index);
            return;
        }
        let members = &self.open[base..];
        let removes = members.iter().any(|node| self.tape.removes(node.kind));
        let count = members.len() as u32;
        let number = index.as_ref().map_or(NO_INDEX, |_| self.tape.indexes.len() as u32);
        let first = self.tape.add(members, index) as u32;
        self.open.truncate(base);
        if let Some(parent) = self.open.last_mut() {
            parent.kind = Kind::Object(self.tape.objects.len() as u32);
        }
        self.tape.objects.push(Object { first, count, index: number, removes });
    }

    /// Returns the tape, once the outermost object has been closed.
    pub(super) fn finish(self) -> Tape {
        self.tape
    }

    pub(super) fn item(&mut self, start: usize, value: usize) {
        self.open.push(Node {
            start: start as u32,
            value: value as u32,
            end: value as u32,
            kind: Kind::Value,
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
