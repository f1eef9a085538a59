//! Reading the characters of a JSON string that has been checked before.

use std::borrow::Cow;

/// Returns the text that the inside of a checked JSON string stands for.
pub(crate) fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..backslash]);
        let (character, taken) = escape(&rest[backslash..]);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[backslash + taken..];
    }
    text.extend_from_slice(rest);
    Cow::Owned(String::from_utf8_lossy(&text).into_owned())
}

/// Reads the escape at the start of `rest`; returns its character and its length. Damage reads as U+FFFD.
fn escape(rest: &[u8]) -> (char, usize) {
    let character = match rest.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(rest),
        Some(&byte) if byte.is_ascii() => char::from(byte),
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (character, 2)
}

fn unicode_escape(rest: &[u8]) -> (char, usize) {
    let Some(first) = code_unit(rest, 2) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if !(0xD800..0xDC00).contains(&first) {
        return (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    match code_unit(rest, 8) {
        Some(second @ 0xDC00..=0xDFFF) => {
            let scalar = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

fn code_unit(rest: &[u8], at: usize) -> Option<u32> {
    rest.get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, &byte| Some(unit * 16 + char::from(byte).to_digit(16)?))
}
