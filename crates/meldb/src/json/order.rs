//! The order of JSON values.
//!
//! missing < null < false < true < numbers by exact value < strings by code point < arrays < objects. Arrays are compared
//! element by element, objects field by field in the order of their names, and the one that ends first is less.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::bounds::DEPTH_CAP;
use super::damaged::DamagedText;
use super::numeric::{compare_numbers, encode_number};
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

/// What stands for a missing value in [`encode`].
const MISSING: u8 = 0x10;
/// Between the tags of two kinds of values.
const TAG_STEP: u8 = 0x10;
/// In front of each field of an object.
const FIELD: u8 = 1;
/// Behind the last element of an array and the last field of an object.
const END: u8 = 0;

impl Kind {
    /// Returns the first byte of such values in [`encode`].
    pub(crate) fn tag(self) -> u8 {
        MISSING + TAG_STEP * (self as u8 + 1)
    }
}

/// Appends bytes that compare as values do, and of which none is the start of another; `None` is a missing value.
///
/// It may stop when `out` is longer than `bytes_max`. Takes O(n log n).
pub(crate) fn encode(
    value: Option<&[u8]>,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), DamagedText> {
    match value {
        None => {
            out.push(MISSING);
            Ok(())
        }
        Some(value) => encode_value(value, DEPTH_CAP, bytes_max, out),
    }
}

fn encode_value(
    value: &[u8],
    levels: usize,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), DamagedText> {
    let kind = Kind::of(value)?;
    out.push(kind.tag());
    let inner = levels.checked_sub(1).ok_or(DamagedText { at: 0 });
    match kind {
        Kind::Null | Kind::False | Kind::True => {}
        Kind::Number => encode_number(value, out),
        Kind::String => encode_text(&unescape(inside(value)), out),
        Kind::Array => {
            for element in Elements::new(value, 0) {
                if out.len() > bytes_max {
                    return Ok(());
                }
                encode_value(&value[element?], inner?, bytes_max, out)?;
            }
            out.push(END);
        }
        Kind::Object => {
            for (name, value) in sorted(value)? {
                if out.len() > bytes_max {
                    return Ok(());
                }
                out.push(FIELD);
                encode_text(&name, out);
                encode_value(value, inner?, bytes_max, out)?;
            }
            out.push(END);
        }
    }
    Ok(())
}

/// Appends the bytes of a text, in which a zero byte is followed by 255, and two zero bytes.
fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_text_start(text, out);
    out.extend_from_slice(&[0, 0]);
}

/// Appends what the [`encode`]d texts begin with, behind their tags, that begin with `text`.
pub(crate) fn encode_text_start(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(u8::MAX);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value.map(str::as_bytes), usize::MAX, &mut bytes).expect("the value is sound");
        bytes
    }

    fn assert_ordered_alike(one: Option<&str>, other: Option<&str>) {
        let by_value =
            compare(one.map(str::as_bytes), other.map(str::as_bytes)).expect("both are sound");
        let (one_bytes, other_bytes) = (encoded(one), encoded(other));
        assert_eq!(one_bytes.cmp(&other_bytes), by_value, "{one:?} and {other:?}");
        // Equal values are the same bytes, and other values do not begin alike.
        assert_eq!(one_bytes.starts_with(&other_bytes), by_value.is_eq(), "{one:?} and {other:?}");
    }

    fn number() -> impl Strategy<Value = String> {
        let exponent = prop_oneof![
            3 => Just(String::new()),
            2 => "[eE][+-]?0{0,2}[0-9]{1,2}",
            1 => (1..200_usize).prop_map(|digits| format!("e{}", "9".repeat(digits))),
            1 => (1..200_usize).prop_map(|digits| format!("e-{}", "9".repeat(digits))),
        ];
        ("-?(0|[1-9][0-9]{0,3}0{0,3})(\\.0{0,3}[0-9]{0,3}[0-9])?", exponent)
            .prop_map(|(mantissa, exponent)| mantissa + &exponent)
    }

    fn string() -> impl Strategy<Value = String> {
        "\"([ab]|\\\\u0000|\\\\u0001|\\\\u00e4|\u{10ffff}|\u{e000}){0,4}\""
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("false".to_owned()),
            Just("true".to_owned()),
            number(),
            string(),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|elements| format!("[{}]", elements.join(","))),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..3).prop_map(|fields| {
                    let fields: Vec<_> =
                        fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn numbers_are_encoded_in_their_order(one in number(), other in number()) {
            assert_ordered_alike(Some(&one), Some(&other));
        }

        #[test]
        fn values_are_encoded_in_their_order(one in prop::option::of(value()), other in prop::option::of(value())) {
            assert_ordered_alike(one.as_deref(), other.as_deref());
        }
    }

    #[test]
    fn every_number_is_encoded_once() {
        for same in [
            &["0", "-0", "0.00", "0e9", "-0.0e-7"][..],
            &["1.50", "15e-1", "0.15E+1"],
            &["-100", "-1e2"],
            &["0.001", "1e-3"],
        ] {
            let first = encoded(Some(same[0]));
            for other in same {
                assert_eq!(encoded(Some(other)), first, "{other}");
            }
        }
        let ordered = [
            "-1e400", "-12", "-1.5", "-1e-400", "0", "1e-400", "0.05", "0.5", "1", "9", "10",
            "12.5", "99", "100", "1e400",
        ];
        for (index, one) in ordered.iter().enumerate() {
            for other in &ordered[index..] {
                assert_ordered_alike(Some(one), Some(other));
            }
        }
    }
}
