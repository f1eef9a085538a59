//! The names of one patch object that have not been found in the document yet.

use crate::json::hash_index::HashIndex;
use crate::json::tape::{Node, Siblings};
use crate::json::walk::string_end;

/// Looks up the fields of a document in the fields of a patch object.
///
/// Canonical names are equal exactly when their bytes are, so a name is found by comparing `"name":`.
pub(super) struct Pending<'p> {
    text: &'p [u8],
    nodes: &'p [Node],
    left: usize,
    /// The node after the one found last: clients often send fields in the order in which they read them.
    guess: usize,
    /// The first characters of all names, one bit each: most fields of a document differ from all by theirs.
    firsts: u64,
    /// Of a few names, but not of a single one: the first bytes of each `"name":`, and which of them count.
    heads: Vec<(u64, u64)>,
    /// For many names: their numbers in `nodes`.
    index: Option<&'p HashIndex>,
    settled: Settled,
}

/// Which nodes have been found, one bit each.
enum Settled {
    Few(u64),
    Many(Vec<u64>),
}

impl<'p> Pending<'p> {
    pub(super) fn new(text: &'p [u8], siblings: Siblings<'p>) -> Self {
        let Siblings { nodes, index } = siblings;
        let heads = if nodes.len() > 1 && index.is_none() {
            nodes.iter().map(|node| needle_head(&text[node.needle()])).collect()
        } else {
            Vec::new()
        };
        let firsts = nodes.iter().fold(0, |firsts, node| firsts | first(&text[node.needle()]));
        let settled = match nodes.len() {
            0..=64 => Settled::Few(0),
            many => Settled::Many(vec![0; many.div_ceil(64)]),
        };
        Self { text, nodes, left: nodes.len(), guess: 0, firsts, heads, index, settled }
    }

    /// Takes the node whose name is the one that `rest` starts with, at its opening quote.
    #[inline(always)]
    pub(super) fn take(&mut self, rest: &[u8]) -> Option<Node> {
        if self.firsts & first(rest) == 0 { None } else { self.find(rest) }
    }

    fn find(&mut self, rest: &[u8]) -> Option<Node> {
        let found = if self.is_guess_right(rest) {
            self.guess
        } else {
            match self.index {
                None => self.find_among_few(rest)?,
                Some(index) => self.find_among_many(index, rest)?,
            }
        };
        self.settle(found);
        Some(self.nodes[found])
    }

    /// Whether every node has been taken.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Returns the nodes that have not been taken, in the patch's order.
    pub(super) fn rest(&self) -> impl Iterator<Item = Node> {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(number, _)| !self.is_settled(*number))
            .map(|(_, node)| *node)
    }

    #[inline]
    fn find_among_few(&self, rest: &[u8]) -> Option<usize> {
        let start = head(rest);
        self.heads.iter().enumerate().position(|(number, (bytes, mask))| {
            start & mask == *bytes && !self.is_settled(number) && self.starts(rest, number)
        })
    }

    fn find_among_many(&self, index: &HashIndex, rest: &[u8]) -> Option<usize> {
        let found = &rest[1..string_end(rest, 0)? - 1];
        index.get(found, |number| {
            !self.is_settled(number) && name(&self.text[self.nodes[number].needle()]) == found
        })
    }

    fn is_guess_right(&self, rest: &[u8]) -> bool {
        self.guess < self.nodes.len()
            && self.starts(rest, self.guess)
            && !self.is_settled(self.guess)
    }

    fn starts(&self, rest: &[u8], number: usize) -> bool {
        rest.starts_with(&self.text[self.nodes[number].needle()])
    }

    fn settle(&mut self, number: usize) {
        match &mut self.settled {
            Settled::Few(bits) => *bits |= 1 << number,
            Settled::Many(words) => words[number / 64] |= 1 << (number % 64),
        }
        self.left -= 1;
        self.guess = number + 1;
    }

    fn is_settled(&self, number: usize) -> bool {
        match &self.settled {
            Settled::Few(bits) => bits >> number & 1 == 1,
            Settled::Many(words) => words[number / 64] >> (number % 64) & 1 == 1,
        }
    }
}

/// The name in `"name":`.
fn name(needle: &[u8]) -> &[u8] {
    &needle[1..needle.len() - 2]
}

/// One of 64 bits for the first character of the name in `"name":`.
#[inline]
fn first(needle: &[u8]) -> u64 {
    needle.get(1).map_or(0, |byte| 1 << (byte & 63))
}

/// The first eight bytes as a number, zeros where there are fewer.
#[inline]
fn head(rest: &[u8]) -> u64 {
    match rest.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => rest.iter().rev().fold(0, |head, &byte| head << 8 | u64::from(byte)),
    }
}

fn needle_head(needle: &[u8]) -> (u64, u64) {
    let unused = 8 * (8 - needle.len().min(8)) as u32;
    (head(needle), u64::MAX >> unused)
}
