//! What stands for a document in an index: bytes that are ordered as its fields are.

use super::{
    locate::{Fields, Located, Slot},
    path::FieldPath,
};
use crate::{
    json::{
        DamagedText,
        order::{Kind, encode, encode_text_start, inside},
        unescape::unescape,
    },
    types::limits::INDEX_VALUES_BYTES_MAX,
};

/// Behind values that were cut: no full ones begin like that.
const CUT: u8 = u8::MAX;

/// Behind every id, which come behind the values.
pub(crate) const BEHIND_IDS: u8 = 0x7F;

/// Takes from documents what they are found by in an index.
#[derive(Debug)]
pub(crate) struct IndexKeys {
    fields: Fields,
    slots: Vec<Slot>,
    located: Located,
    /// Its memory is used again.
    buffer: Vec<u8>,
}

/// What a document is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexValues {
    /// Ordered as the values of the fields are, one field after the other.
    pub(crate) bytes: Vec<u8>,
    /// They are longer than [`INDEX_VALUES_BYTES_MAX`], and only that much of them is there. Documents whose values begin
    /// alike have to be compared themselves.
    pub(crate) is_cut: bool,
}

impl IndexKeys {
    /// Compiles the paths of an index.
    pub(crate) fn new(paths: &[FieldPath]) -> Self {
        let mut fields = Fields::default();
        for path in paths {
            if let FieldPath::Names(names) = path {
                fields.add(names);
            }
        }
        let slots = paths.iter().filter_map(|path| match path {
            FieldPath::Id => None,
            FieldPath::Names(names) => fields.slot(names),
        });
        let slots = slots.collect();
        let located = fields.nothing_located();
        Self { fields, slots, located, buffer: Vec::new() }
    }

    /// Returns whether the document with this stored text is found by these encoded values.
    pub(crate) fn is_of(&mut self, text: &[u8], values: &[u8]) -> Result<bool, DamagedText> {
        let buffer = std::mem::take(&mut self.buffer);
        let found = self.values_in(text, buffer)?;
        let is_same = found.bytes == values;
        self.buffer = found.bytes;
        Ok(is_same)
    }

    /// Returns what the document with this stored text is found by.
    pub(crate) fn values(&mut self, text: &[u8]) -> Result<IndexValues, DamagedText> {
        self.values_in(text, Vec::with_capacity(16 * self.slots.len()))
    }

    fn values_in(&mut self, text: &[u8], mut bytes: Vec<u8>) -> Result<IndexValues, DamagedText> {
        self.located.clear();
        bytes.clear();
        for slot in &self.slots {
            let value = self.fields.value(*slot, text, &mut self.located)?;
            encode(value, INDEX_VALUES_BYTES_MAX, &mut bytes)?;
            if bytes.len() > INDEX_VALUES_BYTES_MAX {
                break;
            }
        }
        Ok(IndexValues::of(bytes))
    }
}

impl IndexKeys {
    /// Returns all that a document is found by, however long it is: equal if and only if the values of all fields are;
    /// `None` if it has none of them.
    pub(crate) fn whole(&mut self, text: &[u8]) -> Result<Option<Vec<u8>>, DamagedText> {
        self.located.clear();
        let (mut bytes, mut has_any) = (Vec::new(), false);
        for slot in &self.slots {
            let value = self.fields.value(*slot, text, &mut self.located)?;
            has_any |= value.is_some();
            encode(value, usize::MAX, &mut bytes)?;
        }
        Ok(has_any.then_some(bytes))
    }
}

impl IndexValues {
    /// Returns the keys of an index that have these values, from the first ones up to, but without, the second ones.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        (self.bytes.clone(), [&self.bytes[..], &[BEHIND_IDS]].concat())
    }

    /// Returns what an index has of encoded values.
    pub(super) fn of(mut bytes: Vec<u8>) -> Self {
        let is_cut = bytes.len() > INDEX_VALUES_BYTES_MAX;
        if is_cut {
            bytes.truncate(INDEX_VALUES_BYTES_MAX);
            bytes.push(CUT);
        }
        Self { bytes, is_cut }
    }
}

/// A range of the encoded values of one field: from `start` up to, but without, `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

impl Span {
    /// Returns the range of all values that begin with `bytes`.
    pub(super) fn of_start(bytes: Vec<u8>) -> Self {
        let end = behind(&bytes);
        Self { start: bytes, end }
    }

    /// Returns the range of one value; `None` is a missing one. A literal is canonical.
    pub(super) fn of_value(value: Option<&[u8]>) -> Self {
        let mut bytes = Vec::new();
        // A literal cannot be damaged. If it were, the range would be larger, and the rest is checked on the documents.
        encode(value, usize::MAX, &mut bytes).ok();
        Self::of_start(bytes)
    }

    /// Returns the range of all values that are of the type of `value`.
    pub(super) fn of_type(value: &[u8]) -> Self {
        let kind = Kind::of(value).unwrap_or(Kind::Null);
        let (first, last) = match kind {
            Kind::False | Kind::True => (Kind::False, Kind::True),
            kind => (kind, kind),
        };
        Self { start: vec![first.tag()], end: vec![last.tag() + 1] }
    }

    /// Returns the range of all strings that begin with a string.
    pub(super) fn of_prefix(prefix: &[u8]) -> Self {
        let mut bytes = vec![Kind::String.tag()];
        encode_text_start(&unescape(inside(prefix)), &mut bytes);
        Self::of_start(bytes)
    }

    /// Returns the range of all values.
    pub(super) fn of_any_value() -> Self {
        Self { start: vec![Kind::Null.tag()], end: vec![Kind::Object.tag() + 1] }
    }

    /// Keeps what is in `other` as well.
    pub(super) fn narrow(&mut self, other: Self) {
        self.start = std::mem::take(&mut self.start).max(other.start);
        self.end = std::mem::take(&mut self.end).min(other.end);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Returns the range of whole keys: of the fields whose values `prefix` has, and of the next one. The second is false
    /// if keys that long are cut, and the range is larger for it.
    pub(super) fn behind(self, prefix: &[u8]) -> (Self, bool) {
        let join = |bytes: &[u8]| [prefix, bytes].concat();
        let (mut start, mut end) = (join(&self.start), join(&self.end));
        let is_exact = start.len().max(end.len()) <= INDEX_VALUES_BYTES_MAX;
        start.truncate(INDEX_VALUES_BYTES_MAX);
        if end.len() > INDEX_VALUES_BYTES_MAX {
            end.truncate(INDEX_VALUES_BYTES_MAX);
            end = behind(&end);
        }
        (Self { start, end }, is_exact)
    }
}

/// Returns the first bytes behind all encoded values that begin with `bytes`.
fn behind(bytes: &[u8]) -> Vec<u8> {
    let mut end = bytes.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing begins with this.
    vec![u8::MAX]
}
