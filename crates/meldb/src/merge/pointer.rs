//! JSON Pointers (RFC 6901) in the making, as they stand inside a JSON string.

use crate::json::DamagedText;

/// Adds the field `name`, as canonical text has it between its quotes.
///
/// Neither `~` nor `/` is part of any escape of canonical text, so that both can be looked for in it.
pub(super) fn push_name(pointer: &mut Vec<u8>, name: &[u8]) {
    pointer.push(b'/');
    for &byte in name {
        match byte {
            b'~' => pointer.extend_from_slice(b"~0"),
            b'/' => pointer.extend_from_slice(b"~1"),
            _ => pointer.push(byte),
        }
    }
}

/// Returns the pointer as plain text.
pub(super) fn plain(pointer: &[u8]) -> Result<String, DamagedText> {
    let quoted = [b"\"", pointer, b"\""].concat();
    serde_json::from_slice(&quoted).map_err(|_| DamagedText { at: 0 })
}

/// Returns whether one of two pointers leads to what the other leads to, or to what holds it.
pub(crate) fn overlaps(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
