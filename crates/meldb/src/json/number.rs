//! Scanning JSON numbers (RFC 8259 §6).

use super::error::Fault;

/// Checks the number that starts at `from`; returns the position after it.
pub(crate) fn scan(text: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at) {
        Some(b'0') if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {
            return Err(Fault::syntax("a number may not start with 0", at));
        }
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Ok(at)
}

/// Checks that at least one digit is at `from`; returns the position after all of them.
fn digits(text: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    match text.get(at) {
        _ if at > from => Ok(at),
        Some(_) => Err(Fault::syntax("expected a digit", at)),
        None => Err(Fault::end_of_text(at)),
    }
}
