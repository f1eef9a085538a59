//! Which ids a filter leaves.

use std::ops::Bound;

use super::{
    filter::{Comparison, Filter, Node, Test},
    literal::Literal,
    path::FieldPath,
};
use crate::{
    json::{
        order::{Kind, inside},
        unescape::unescape,
    },
    types::QueryError,
};

/// The ids that a document must be between to pass a filter, in the order of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdBounds {
    pub(crate) start: Bound<String>,
    pub(crate) end: Bound<String>,
}

impl IdBounds {
    /// Every id.
    pub(crate) const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// Returns the bounds of the ids that start with `prefix`.
    pub(crate) fn of_prefix(prefix: &str) -> Self {
        // Behind every character that an id may have.
        let end = Bound::Excluded(format!("{prefix}\u{7f}"));
        Self { start: Bound::Included(prefix.to_owned()), end }
    }

    /// Returns bounds that every document keeps which passes the filter.
    pub(crate) fn of(filter: &Filter) -> Result<Self, QueryError> {
        let node = filter.checked()?;
        let mut bounds = Self::ALL;
        match node {
            Node::All(nodes) => nodes.iter().for_each(|node| bounds.narrow_by(node)),
            node => bounds.narrow_by(node),
        }
        Ok(bounds)
    }

    fn narrow_by(&mut self, node: &Node) {
        let Node::Test(FieldPath::Id, test) = node else { return };
        let string = |value: &Literal| match Kind::of(value.as_bytes()) {
            Ok(Kind::String) => Some(unescape(inside(value.as_bytes())).into_owned()),
            _ => None,
        };
        match test {
            Test::Compare(comparison, value) => {
                // An id is never anything else, which is found out document by document.
                let Some(id) = string(value) else { return };
                match comparison {
                    Comparison::Equal => {
                        self.narrow(Bound::Included(id.clone()), Bound::Included(id));
                    }
                    Comparison::NotEqual => {}
                    Comparison::Less => self.narrow(Bound::Unbounded, Bound::Excluded(id)),
                    Comparison::AtMost => self.narrow(Bound::Unbounded, Bound::Included(id)),
                    Comparison::Greater => self.narrow(Bound::Excluded(id), Bound::Unbounded),
                    Comparison::AtLeast => self.narrow(Bound::Included(id), Bound::Unbounded),
                }
            }
            Test::Prefix(value) => {
                if let Some(prefix) = string(value) {
                    let Self { start, end } = Self::of_prefix(&prefix);
                    self.narrow(start, end);
                }
            }
            Test::In(values) => {
                let ids: Vec<_> = values.iter().filter_map(string).collect();
                if let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) {
                    self.narrow(Bound::Included(first.clone()), Bound::Included(last.clone()));
                }
            }
            Test::Has(_) | Test::Missing | Test::Exists => {}
        }
    }

    /// Keeps the ids that are between these, too.
    pub(crate) fn narrow(&mut self, start: Bound<String>, end: Bound<String>) {
        let later = |a: &Bound<String>, b: &Bound<String>| match (a, b) {
            (Bound::Unbounded, _) => false,
            (_, Bound::Unbounded) => true,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
                a > b
            }
        };
        let equal_but_open = |a: &Bound<String>, b: &Bound<String>| matches!((a, b), (Bound::Excluded(a), Bound::Included(b)) if a == b);
        if later(&start, &self.start) || equal_but_open(&start, &self.start) {
            self.start = start;
        }
        let is_narrower = match (&end, &self.end) {
            (Bound::Unbounded, _) => false,
            (_, Bound::Unbounded) => true,
            (end, known) => later(known, end) || equal_but_open(end, known),
        };
        if is_narrower {
            self.end = end;
        }
    }

    /// Returns whether not every id is between them.
    pub(crate) fn is_bounded(&self) -> bool {
        self.start != Bound::Unbounded || self.end != Bound::Unbounded
    }
}
