//! Finding, replacing and removing the value at a path in a stored text.

use std::ops::Range;

use super::stored::stamps_end;
use super::{MemberPath, Stamp};
use crate::copy::append;
use crate::json::DamagedText;
use crate::json::walk::Members;

/// Where a path leads in a stored text.
pub(super) enum Place {
    /// To a value.
    Found {
        value: Range<usize>,
        /// What to cut to take the field out: the value, its name and one comma.
        member: Range<usize>,
    },
    /// To an object that lacks the name after the first `names`.
    Missing { names: usize, close: usize, empty: bool },
    /// After the first `names`, to something that is no object, though more names follow.
    Blocked { names: usize, value: Range<usize> },
}

/// Follows `path` in `base`.
pub(super) fn locate(base: &[u8], path: &MemberPath) -> Result<Place, DamagedText> {
    stamps_end(base)?;
    let mut open = 0;
    for (number, needle) in path.needles.iter().enumerate() {
        let names = number + 1;
        let name = &needle[1..needle.len() - 2];
        let mut members = Members::new(base, open);
        let mut previous_end = open + 1;
        let found = loop {
            match members.next().transpose()? {
                Some(member) if &base[member.name.clone()] == name => break member,
                Some(member) => previous_end = member.value.end,
                None => {
                    let close = members.position();
                    return Ok(Place::Missing { names: number, close, empty: close == open + 1 });
                }
            }
        };
        let value = found.value;
        if names == path.needles.len() {
            let is_first = previous_end == open + 1;
            let cut_end = if is_first && base.get(value.end) == Some(&b',') {
                value.end + 1
            } else {
                value.end
            };
            return Ok(Place::Found { value, member: previous_end..cut_end });
        }
        if base[value.start] != b'{' {
            return Ok(Place::Blocked { names, value });
        }
        open = value.start;
    }
    Err(DamagedText { at: 0 })
}

/// Returns `base`, or a new document, with `value` at `path` and a new stamp; parents are made or replaced as needed.
pub(super) fn put(
    base: Option<&[u8]>,
    path: &MemberPath,
    value: &[u8],
    stamp: &Stamp<'_>,
) -> Result<Vec<u8>, DamagedText> {
    let names_size: usize = path.needles.iter().map(|needle| needle.len() + 2).sum();
    let size = base.map_or(1, <[u8]>::len) + names_size + value.len() + stamp.size_hint();
    let mut out = Vec::with_capacity(size);
    stamp.write(&mut out);
    let Some(base) = base else {
        out.extend_from_slice(b",\n");
        write_nested(&mut out, &path.needles, value);
        out.push(b'}');
        return Ok(out);
    };
    let stamps_end = stamps_end(base)?;
    let after = match locate(base, path)? {
        Place::Found { value: old, .. } => {
            append(&mut out, &base[stamps_end..old.start]);
            out.extend_from_slice(value);
            old.end
        }
        Place::Blocked { names, value: old } => {
            append(&mut out, &base[stamps_end..old.start]);
            out.push(b'{');
            write_nested(&mut out, &path.needles[names..], value);
            out.push(b'}');
            old.end
        }
        Place::Missing { names, close, empty } => {
            append(&mut out, &base[stamps_end..close]);
            if !empty {
                out.push(b',');
            }
            if names == 0 {
                out.push(b'\n');
            }
            write_nested(&mut out, &path.needles[names..], value);
            close
        }
    };
    append(&mut out, &base[after..]);
    Ok(out)
}

/// Returns `base` without the field at `path` and with a new stamp; `None` if there is none.
pub(super) fn cut(
    base: &[u8],
    path: &MemberPath,
    stamp: &Stamp<'_>,
) -> Result<Option<Vec<u8>>, DamagedText> {
    let Place::Found { member, .. } = locate(base, path)? else { return Ok(None) };
    let mut out = Vec::with_capacity(base.len() + stamp.size_hint());
    stamp.write(&mut out);
    append(&mut out, &base[stamps_end(base)?..member.start]);
    append(&mut out, &base[member.end..]);
    Ok(Some(out))
}

/// Writes `"a":{"b":value}` for the names a, b.
fn write_nested(out: &mut Vec<u8>, needles: &[Vec<u8>], value: &[u8]) {
    for (number, needle) in needles.iter().enumerate() {
        if number > 0 {
            out.push(b'{');
        }
        out.extend_from_slice(needle);
    }
    out.extend_from_slice(value);
    out.extend(std::iter::repeat_n(b'}', needles.len().saturating_sub(1)));
}
