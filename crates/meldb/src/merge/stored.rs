//! Properties of a stored text that the merge relies on.

use std::borrow::Cow;

use super::Stamp;
use crate::copy::append;
use crate::json::DamagedText;
use crate::json::walk::string_end;

/// Returns where the stamps end: the offset of the comma before the first other field, or of the closing bracket.
pub(super) fn stamps_end(text: &[u8]) -> Result<usize, DamagedText> {
    find_stamps_end(text, b"{\n\"updated\":", b",\n\"updatedBy\":\"").ok_or(DamagedText { at: 0 })
}

/// The same for an object without newlines.
pub(super) fn compact_stamps_end(text: &[u8]) -> Option<usize> {
    find_stamps_end(text, b"{\"updated\":", b",\"updatedBy\":\"")
}

fn find_stamps_end(text: &[u8], updated: &[u8], updated_by: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(updated)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !rest[digits..].starts_with(updated_by) {
        return None;
    }
    let end = string_end(text, updated.len() + digits + updated_by.len() - 1)?;
    let whole = match text.get(end)? {
        b'}' => end + 1 == text.len(),
        b',' => text.last() == Some(&b'}'),
        _ => false,
    };
    whole.then_some(end)
}

/// Whether two stored texts are the same bytes apart from the values of their stamps.
///
/// Compares bytes, not values: `1` and `1.0` differ, and so do two orders of the same fields. Takes no longer than
/// comparing memory. A text that is not in the stored form is the same as none.
///
/// ```
/// use meldb::merge::{Bounds, Content, Stamp, same_content};
///
/// let content = Content::compile(br#"{"n":1}"#, &Bounds::default())?;
/// let before = content.stamped(&Stamp { updated_ms: 1, updated_by: "ada" });
/// let after = content.stamped(&Stamp { updated_ms: 2, updated_by: "bob" });
/// assert!(same_content(&before, &after));
/// # Ok::<(), meldb::merge::TextError>(())
/// ```
#[must_use]
pub fn same_content(before: &[u8], after: &[u8]) -> bool {
    match (stamps_end(before), stamps_end(after)) {
        (Ok(tail_before), Ok(tail_after)) => before[tail_before..] == after[tail_after..],
        _ => false,
    }
}

/// Returns a stored text with another stamp.
pub(crate) fn restamped(text: &[u8], stamp: &Stamp<'_>) -> Result<Vec<u8>, DamagedText> {
    let rest = &text[stamps_end(text)?..];
    let mut out = Vec::with_capacity(stamp.size_hint() + rest.len());
    stamp.write(&mut out);
    append(&mut out, rest);
    Ok(out)
}

/// Returns the text of a stored document or sub-document without its stamps, if it has any.
pub(crate) fn without_stamps(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(end) = stamps_end(text).ok().or_else(|| compact_stamps_end(text)) else {
        return Cow::Borrowed(text);
    };
    let rest = &text[end..];
    Cow::Owned([b"{", rest.strip_prefix(b",").unwrap_or(rest)].concat())
}

/// Turns a stored text into the compact text of the same object. A newline can stand nowhere but before a field.
pub(super) fn without_newlines(stored: &[u8]) -> Vec<u8> {
    let mut compact = Vec::with_capacity(stored.len());
    let mut from = 0;
    for newline in memchr::memchr_iter(b'\n', stored) {
        compact.extend_from_slice(&stored[from..newline]);
        from = newline + 1;
    }
    compact.extend_from_slice(&stored[from..]);
    compact
}
