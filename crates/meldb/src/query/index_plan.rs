//! How an index answers a question: which of its entries, and in which order they come.

use bytes::Bytes;

use super::{
    filter::{Comparison, Filter, Node, Test},
    index_key::{IndexValues, Span},
    path::FieldPath,
    sort::SortKey,
};
use crate::{
    json::{
        DamagedText,
        order::{Kind, encode},
    },
    types::{QueryError, limits::INDEX_VALUES_BYTES_MAX},
};

/// The order in which the entries of an [`IndexPlan`] are, beside the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOrder {
    /// It is the one that was asked for, the other way round if `is_reversed`.
    Asked {
        /// From the last entry to the first.
        is_reversed: bool,
    },
    /// It is another one: the documents have to be sorted.
    Other,
}

/// How an index answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexPlan {
    /// The ranges of encoded values, in order and apart, from the first bytes up to, but without, the second ones.
    pub(crate) ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// In which order they are.
    pub(crate) order: EntryOrder,
    /// Every document that has an entry in the ranges passes the filter.
    pub(crate) is_exact: bool,
    /// What all entries in the ranges begin with: the fields that have to be equal to one value, of which there are
    /// `fixed`.
    prefix: Vec<u8>,
    fixed: usize,
    /// There is a range of the next field.
    is_narrowed: bool,
    /// The keys of the sort order, by their numbers, by which the entries are ordered behind the prefix.
    ordered_by: Vec<usize>,
}

impl IndexPlan {
    /// Returns how an index over `fields` answers a question; `None` if it does not help.
    pub(crate) fn new(
        filter: &Filter,
        sort: &[SortKey],
        fields: &[FieldPath],
    ) -> Result<Option<Self>, QueryError> {
        let node = filter.checked()?;
        let tests = Tests(match node {
            Node::All(nodes) => nodes.iter().collect(),
            node => vec![node],
        });
        let mut used = 0;
        let (mut prefix, mut fixed) = (Vec::new(), 0);
        for field in fields {
            let Some((span, tests)) = tests.equal(field) else { break };
            if prefix.len() + span.start.len() > INDEX_VALUES_BYTES_MAX {
                break;
            }
            prefix.extend(span.start);
            used += tests;
            fixed += 1;
        }
        let mut is_exact = true;
        let spans = match fields.get(fixed) {
            None => Vec::new(),
            Some(field) => {
                let (spans, tests) = tests.spans(field);
                used += tests;
                spans
            }
        };
        let is_narrowed = !spans.is_empty();
        let mut ranges = Vec::with_capacity(spans.len().max(1));
        for span in spans.into_iter().filter(|span| !span.is_empty()) {
            let (span, exact) = span.behind(&prefix);
            is_exact &= exact;
            match ranges.last_mut() {
                // Cut, they may have become one.
                Some((_, end)) if *end > span.start => *end = span.end.max(std::mem::take(end)),
                _ => ranges.push((span.start, span.end)),
            }
        }
        if !is_narrowed {
            let Span { start, end } = Span::of_start(prefix.clone());
            ranges.push((start, end));
        }
        let order = order(sort, &fields[fixed..], &tests);
        let ordered_by = (0..sort.len()).filter(|&number| {
            let path = &sort[number].path;
            *path != FieldPath::Id && tests.equal(path).is_none()
        });
        let ordered_by = ordered_by.collect();
        let helps = fixed > 0 || is_narrowed || (order != EntryOrder::Other && !sort.is_empty());
        is_exact &= used == tests.0.len();
        Ok(helps.then_some(Self {
            ranges,
            order,
            is_exact,
            prefix,
            fixed,
            is_narrowed,
            ordered_by,
        }))
    }

    /// Returns how good the plan is, the best one last: how much it leaves out counts most.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        (self.fixed, self.is_narrowed, self.order != EntryOrder::Other)
    }

    /// Returns whether the filter leaves entries of the index out.
    pub(crate) fn narrows(&self) -> bool {
        self.fixed > 0 || self.is_narrowed
    }

    /// Returns what a document is found by that has these values of the sort order, where the entries are in that order.
    ///
    /// # Errors
    /// The values come from a cursor that somebody has changed.
    pub(crate) fn place(&self, values: &[Option<Bytes>]) -> Result<IndexValues, DamagedText> {
        let mut bytes = self.prefix.clone();
        for number in &self.ordered_by {
            let value = values.get(*number).ok_or(DamagedText { at: 0 })?;
            encode(value.as_deref(), INDEX_VALUES_BYTES_MAX, &mut bytes)?;
        }
        Ok(IndexValues::of(bytes))
    }
}

/// Returns the order of the entries, which are ordered by the values of `fields`, and then by id.
fn order(sort: &[SortKey], fields: &[FieldPath], tests: &Tests<'_>) -> EntryOrder {
    // What is the same in all documents does not order them.
    let mut keys = sort.iter().filter(|key| tests.equal(&key.path).is_none()).peekable();
    let Some(first) = keys.peek() else {
        return match fields.is_empty() {
            true => EntryOrder::Asked { is_reversed: false },
            false => EntryOrder::Other,
        };
    };
    let is_reversed = first.is_descending;
    let mut left = fields.iter();
    for key in keys {
        match left.next() {
            Some(field) if *field == key.path && key.is_descending == is_reversed => {}
            // Documents that are the same so far are in the order of their ids in any case.
            None if key.path == FieldPath::Id && !key.is_descending => break,
            _ => return EntryOrder::Other,
        }
    }
    match left.next() {
        None => EntryOrder::Asked { is_reversed },
        Some(_) => EntryOrder::Other,
    }
}

/// What has to hold of every document.
struct Tests<'f>(Vec<&'f Node>);

impl Tests<'_> {
    fn of<'s>(&'s self, field: &'s FieldPath) -> impl Iterator<Item = &'s Test> {
        self.0.iter().filter_map(move |node| match node {
            Node::Test(path, test) if path == field => Some(test),
            _ => None,
        })
    }

    /// Returns the one value that a field has to have, and how many tests say so.
    fn equal(&self, field: &FieldPath) -> Option<(Span, usize)> {
        let is_equal =
            |test: &&Test| matches!(test, Test::Compare(Comparison::Equal, _) | Test::Missing);
        let span = match self.of(field).find(is_equal)? {
            Test::Compare(_, value) => Span::of_value(Some(value.as_bytes())),
            _ => Span::of_value(None),
        };
        Some((span, 1))
    }

    /// Returns the ranges of a field's values that the tests leave, in order and apart, and how many tests they make
    /// superfluous; no ranges if no test is about it.
    fn spans(&self, field: &FieldPath) -> (Vec<Span>, usize) {
        let (mut range, mut used): (Option<Span>, _) = (None, 0);
        let mut values: Option<Vec<Span>> = None;
        for test in self.of(field) {
            let spans = match test {
                Test::Compare(Comparison::Equal, _) | Test::Missing => continue,
                Test::Compare(comparison, value) => match compared(*comparison, value.as_bytes()) {
                    Some(span) => span,
                    None => continue,
                },
                Test::Prefix(value) => Span::of_prefix(value.as_bytes()),
                Test::Exists => Span::of_any_value(),
                Test::In(list) if values.is_none() => {
                    let spans = list.iter().map(|value| Span::of_value(Some(value.as_bytes())));
                    let mut spans: Vec<_> = spans.collect();
                    spans.sort_unstable_by(|one, other| one.start.cmp(&other.start));
                    spans.dedup();
                    values = Some(spans);
                    used += 1;
                    continue;
                }
                Test::In(_) | Test::Has(_) => continue,
            };
            used += 1;
            match &mut range {
                Some(range) => range.narrow(spans),
                None => range = Some(spans),
            }
        }
        let spans = match (values, range) {
            (None, None) => Vec::new(),
            (None, Some(range)) => vec![range],
            (Some(values), None) => values,
            (Some(mut values), Some(range)) => {
                values.iter_mut().for_each(|value| value.narrow(range.clone()));
                values
            }
        };
        (spans, used)
    }
}

/// Returns the values that compare so with one; `None` if they are not next to each other.
fn compared(comparison: Comparison, value: &[u8]) -> Option<Span> {
    let Span { start, end } = Span::of_value(Some(value));
    let mut span = Span::of_type(value);
    match comparison {
        Comparison::Equal | Comparison::NotEqual => return None,
        Comparison::Less => span.end = start,
        Comparison::AtMost => span.end = end,
        Comparison::Greater => span.start = end,
        Comparison::AtLeast => span.start = start,
    }
    debug_assert!(Kind::of(value).is_ok(), "a literal is canonical");
    Some(span)
}
