//! The order of JSON values.
//!
//! missing < null < false < true < numbers by exact value < strings by code point < arrays < objects. Arrays are compared
//! element by element, objects field by field in the order of their names, and the one that ends first is less.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::bounds::DEPTH_CAP;
use super::damaged::DamagedText;
use super::numeric::compare_numbers;
use super::unescape::unescape;
use super::walk::{Elements, Members};

/// What kind of value it is, in the order of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// Returns the kind of a canonical value.
    pub(crate) fn of(value: &[u8]) -> Result<Self, DamagedText> {
        Ok(match value.first() {
            Some(b'"') => Self::String,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            _ => match value {
                b"null" => Self::Null,
                b"false" => Self::False,
                b"true" => Self::True,
                _ => return Err(DamagedText { at: 0 }),
            },
        })
    }

    /// Whether values of both kinds are of one type: `false` and `true` are.
    pub(crate) fn is_type_of(self, other: Self) -> bool {
        let boolean = |kind| matches!(kind, Self::False | Self::True);
        self == other || (boolean(self) && boolean(other))
    }
}

/// Compares two canonical values; `None` is a missing one. Takes O(n log n).
pub(crate) fn compare(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Ordering, DamagedText> {
    match (a, b) {
        (Some(a), Some(b)) => compare_values(a, b, DEPTH_CAP),
        (a, b) => Ok(a.is_some().cmp(&b.is_some())),
    }
}

/// Returns whether two canonical values are equal, whatever their texts. Takes O(n log n).
pub(crate) fn equal(a: &[u8], b: &[u8]) -> Result<bool, DamagedText> {
    Ok(a == b || compare_values(a, b, DEPTH_CAP)?.is_eq())
}

/// Compares two canonical values that nest `levels` deep at most: in a sound text they do.
fn compare_values(a: &[u8], b: &[u8], levels: usize) -> Result<Ordering, DamagedText> {
    let (kind, other) = (Kind::of(a)?, Kind::of(b)?);
    if kind != other {
        return Ok(kind.cmp(&other));
    }
    let inner = levels.checked_sub(1).ok_or(DamagedText { at: 0 });
    match kind {
        Kind::Null | Kind::False | Kind::True => Ok(Ordering::Equal),
        Kind::Number => Ok(compare_numbers(a, b)),
        Kind::String => Ok(compare_text(inside(a), inside(b))),
        Kind::Array => compare_arrays(a, b, inner?),
        Kind::Object => compare_objects(a, b, inner?),
    }
}

/// Returns what stands between the quotes of a string.
pub(crate) fn inside(string: &[u8]) -> &[u8] {
    string.get(1..string.len().saturating_sub(1)).unwrap_or_default()
}

/// Compares two insides of checked JSON strings by the code points that they stand for, which is how UTF-8 compares.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let escaped = |raw| memchr::memchr(b'\\', raw).is_some();
    if escaped(a) || escaped(b) { unescape(a).cmp(&unescape(b)) } else { a.cmp(b) }
}

fn compare_arrays(a: &[u8], b: &[u8], levels: usize) -> Result<Ordering, DamagedText> {
    let (mut left, mut right) = (Elements::new(a, 0), Elements::new(b, 0));
    loop {
        let order = match (left.next().transpose()?, right.next().transpose()?) {
            (Some(x), Some(y)) => compare_values(&a[x], &b[y], levels)?,
            (x, y) => return Ok(x.is_some().cmp(&y.is_some())),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
}

fn compare_objects(a: &[u8], b: &[u8], levels: usize) -> Result<Ordering, DamagedText> {
    let (left, right) = (sorted(a)?, sorted(b)?);
    for ((name, x), (other, y)) in left.iter().zip(&right) {
        let order = match name.cmp(other) {
            Ordering::Equal => compare_values(x, y, levels)?,
            order => order,
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(left.len().cmp(&right.len()))
}

/// A field's name and value.
type NameValue<'t> = (Cow<'t, str>, &'t [u8]);

/// Returns the fields of an object by the code points of their names.
fn sorted(object: &[u8]) -> Result<Vec<NameValue<'_>>, DamagedText> {
    let field =
        |member: super::walk::Member| (unescape(&object[member.name]), &object[member.value]);
    let mut members =
        Members::new(object, 0).map(|member| member.map(field)).collect::<Result<Vec<_>, _>>()?;
    members.sort_unstable_by(|(name, _), (other, _)| name.cmp(other));
    Ok(members)
}
