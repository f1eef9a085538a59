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
    types::{IdRange, QueryError},
};

/// Returns the ids among which all documents are that pass the filter, in order.
pub(crate) fn id_range(filter: &Filter) -> Result<IdRange, QueryError> {
    let mut range = IdRange::ALL;
    match filter.checked()? {
        Node::All(nodes) => nodes.iter().for_each(|node| narrow_by(&mut range, node)),
        node => narrow_by(&mut range, node),
    }
    Ok(range)
}

/// Keeps the ids that the node leaves.
fn narrow_by(range: &mut IdRange, node: &Node) {
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
                    range.narrow(Bound::Included(id.clone()), Bound::Included(id));
                }
                Comparison::NotEqual => {}
                Comparison::Less => range.narrow(Bound::Unbounded, Bound::Excluded(id)),
                Comparison::AtMost => range.narrow(Bound::Unbounded, Bound::Included(id)),
                Comparison::Greater => range.narrow(Bound::Excluded(id), Bound::Unbounded),
                Comparison::AtLeast => range.narrow(Bound::Included(id), Bound::Unbounded),
            }
        }
        Test::Prefix(value) => {
            if let Some(prefix) = string(value) {
                let IdRange { start, end, .. } = IdRange::of_prefix(&prefix);
                range.narrow(start, end);
            }
        }
        Test::In(values) => {
            let ids: Vec<_> = values.iter().filter_map(string).collect();
            if let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) {
                range.narrow(Bound::Included(first.clone()), Bound::Included(last.clone()));
            }
        }
        Test::Has(_) | Test::Missing | Test::Exists => {}
    }
}
