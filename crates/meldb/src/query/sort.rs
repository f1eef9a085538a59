//! In which order documents are returned.

use std::{cmp::Ordering, fmt, str::FromStr};

use bytes::Bytes;

use super::{
    locate::{Fields, Located, Slot},
    parse::{Parser, parse_path},
    path::FieldPath,
};
use crate::{
    json::{DamagedText, order::compare},
    types::{QueryError, limits::SORT_KEYS_MAX},
};

const WHAT: &str = "sort order";

/// The order of documents: by the values of fields in the order of values, and by their ids where those are equal.
///
/// Documents without a field come before those that have it, and after them in descending order; none is left out. Read
/// from text, it is a list of paths with a `-` in front of those that descend.
///
/// ```
/// use meldb::{Sort, asc, desc};
///
/// let built = Sort::from([desc("seats"), asc("address.city")]);
/// assert_eq!("-seats,address.city".parse(), Ok(built));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort(Result<Vec<SortKey>, QueryError>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    pub(super) path: FieldPath,
    pub(super) is_descending: bool,
}

/// Sorts by the field at a path, the least value first; see [`field`](crate::field) for paths.
#[must_use]
pub fn asc(path: &str) -> Sort {
    Sort::by(path, false)
}

/// Sorts by the field at a path, the greatest value first; see [`field`](crate::field) for paths.
#[must_use]
pub fn desc(path: &str) -> Sort {
    Sort::by(path, true)
}

impl Sort {
    fn by(path: &str, is_descending: bool) -> Self {
        Self(parse_path(path).map(|path| vec![SortKey { path, is_descending }]))
    }

    /// Returns the keys, without those that decide nothing.
    pub(crate) fn keys(&self) -> Result<Vec<SortKey>, QueryError> {
        let mut keys: Vec<SortKey> = Vec::new();
        for key in self.0.clone()? {
            if keys.iter().all(|known| known.path != key.path && known.path != FieldPath::Id) {
                keys.push(key);
            }
        }
        if keys.len() > SORT_KEYS_MAX {
            return Err(QueryError::new(WHAT, format!("it has more than {SORT_KEYS_MAX} fields")));
        }
        Ok(keys)
    }
}

impl<const N: usize> From<[Sort; N]> for Sort {
    fn from(sorts: [Sort; N]) -> Self {
        let keys: Result<Vec<_>, _> = sorts.into_iter().map(|sort| sort.0).collect();
        Self(keys.map(|keys| keys.concat()))
    }
}

impl FromStr for Sort {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(WHAT, text)?;
        let mut keys = Vec::new();
        loop {
            let is_descending = parser.take("-");
            keys.push(SortKey { path: parser.path()?, is_descending });
            if parser.rest().is_empty() {
                break;
            }
            if keys.len() == SORT_KEYS_MAX {
                return Err(parser.error(format!("it has more than {SORT_KEYS_MAX} fields")));
            }
            if !parser.take(",") {
                return Err(parser.error("expected a comma between two fields"));
            }
        }
        Ok(Self(Ok(keys)))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = match &self.0 {
            Ok(keys) => keys,
            Err(error) => return error.fmt(f),
        };
        for (index, key) in keys.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let minus = if key.is_descending { "-" } else { "" };
            write!(f, "{comma}{minus}{}", key.path)?;
        }
        Ok(())
    }
}

/// Returns whether a sort order is that of the ids, and if so, whether it descends.
pub(crate) fn natural_order(keys: &[SortKey]) -> Option<bool> {
    match keys.first() {
        None => Some(false),
        Some(key) => (key.path == FieldPath::Id).then_some(key.is_descending),
    }
}

/// Takes from documents what they are sorted by.
#[derive(Debug)]
pub(crate) struct Sorter {
    keys: Vec<(Option<Slot>, bool)>,
    fields: Fields,
    located: Located,
}

/// What a document is sorted by: a value for each key of the order, `None` where it is missing. A key that is the id is
/// `None` for every document: the id comes last in any case.
pub(crate) type SortValues = Vec<Option<Bytes>>;

impl Sorter {
    /// Compiles a sort order.
    pub(crate) fn new(keys: &[SortKey]) -> Self {
        let mut fields = Fields::default();
        for key in keys {
            if let FieldPath::Names(names) = &key.path {
                fields.add(names);
            }
        }
        let slot = |path: &FieldPath| match path {
            FieldPath::Id => None,
            FieldPath::Names(names) => fields.slot(names),
        };
        let keys = keys.iter().map(|key| (slot(&key.path), key.is_descending)).collect();
        let located = fields.nothing_located();
        Self { keys, fields, located }
    }

    /// Returns how many keys the order has.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Returns what a document is sorted by; it shares the text's memory.
    pub(crate) fn values(&mut self, text: &Bytes) -> Result<SortValues, DamagedText> {
        self.located.clear();
        let (fields, located) = (&self.fields, &mut self.located);
        let value = |(slot, _): &(Option<Slot>, bool)| match slot {
            None => Ok(None),
            Some(slot) => {
                Ok(fields.value(*slot, text, located)?.map(|value| text.slice_ref(value)))
            }
        };
        self.keys.iter().map(value).collect()
    }

    /// Compares two documents by what they are sorted by, and by their ids.
    pub(crate) fn compare(
        &self,
        (values, id): (&[Option<Bytes>], &str),
        place: (&[Option<Bytes>], &str),
    ) -> Result<Ordering, DamagedText> {
        order(&self.keys, |key, _| Ok(values[key].as_deref()), id, place)
    }

    /// Compares a document, given its text, with another one by what they are sorted by, and by their ids; looks only for
    /// as many fields as it takes.
    pub(crate) fn compare_text(
        &mut self,
        (text, id): (&[u8], &str),
        place: (&[Option<Bytes>], &str),
    ) -> Result<Ordering, DamagedText> {
        self.located.clear();
        let (fields, located) = (&self.fields, &mut self.located);
        order(&self.keys, |_, slot| fields.value(slot, text, located), id, place)
    }
}

/// Compares a document, given what has its values, with another one.
fn order<'v>(
    keys: &[(Option<Slot>, bool)],
    mut value: impl FnMut(usize, Slot) -> Result<Option<&'v [u8]>, DamagedText>,
    id: &str,
    (others, other): (&[Option<Bytes>], &str),
) -> Result<Ordering, DamagedText> {
    for (key, ((slot, is_descending), theirs)) in keys.iter().zip(others).enumerate() {
        let order = match slot {
            None => id.cmp(other),
            Some(slot) => compare(value(key, *slot)?, theirs.as_deref())?,
        };
        if order.is_ne() {
            return Ok(if *is_descending { order.reverse() } else { order });
        }
    }
    Ok(id.cmp(other))
}
