//! Whether two canonical values are equal as JSON values, whatever their texts.

use super::damaged::DamagedText;
use super::numeric::same_number;
use super::unescape::same_text;
use super::walk::{Elements, Members};

/// Compares two canonical values: numbers by exact value, strings by their characters, objects in any order.
///
/// Recurses as deep as the shallower of the two nests, so one of them must be bounded. Takes O(n log n).
pub(crate) fn equal(a: &[u8], b: &[u8]) -> Result<bool, DamagedText> {
    if a == b {
        return Ok(true);
    }
    Ok(match (a.first(), b.first()) {
        (Some(b'{'), Some(b'{')) => return equal_objects(a, b),
        (Some(b'['), Some(b'[')) => return equal_arrays(a, b),
        (Some(b'"'), Some(b'"')) => same_text(inside(a), inside(b)),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => same_number(a, b),
        _ => false,
    })
}

fn inside(string: &[u8]) -> &[u8] {
    string.get(1..string.len().saturating_sub(1)).unwrap_or_default()
}

fn equal_arrays(a: &[u8], b: &[u8]) -> Result<bool, DamagedText> {
    let (mut left, mut right) = (Elements::new(a, 0), Elements::new(b, 0));
    loop {
        match (left.next().transpose()?, right.next().transpose()?) {
            (Some(x), Some(y)) => {
                if !equal(&a[x], &b[y])? {
                    return Ok(false);
                }
            }
            (x, y) => return Ok(x.is_none() && y.is_none()),
        }
    }
}

fn equal_objects(a: &[u8], b: &[u8]) -> Result<bool, DamagedText> {
    let (left, right) = (sorted(a)?, sorted(b)?);
    // Names are canonical, so equal names have equal bytes.
    if left.len() != right.len() || left.iter().zip(&right).any(|((x, _), (y, _))| x != y) {
        return Ok(false);
    }
    for ((_, x), (_, y)) in left.into_iter().zip(right) {
        if !equal(x, y)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A field's name and value.
type NameValue<'t> = (&'t [u8], &'t [u8]);

fn sorted(object: &[u8]) -> Result<Vec<NameValue<'_>>, DamagedText> {
    let mut members = Members::new(object, 0)
        .map(|member| member.map(|member| (&object[member.name], &object[member.value])))
        .collect::<Result<Vec<_>, _>>()?;
    members.sort_unstable_by_key(|(name, _)| *name);
    Ok(members)
}
