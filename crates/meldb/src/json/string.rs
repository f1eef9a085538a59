//! Scanning JSON strings (RFC 8259 §7) and writing them with as few escapes as possible.

use super::error::{Fault, TextErrorKind};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Returns the first position from `from` on that holds `"`, `\` or a control character, else the length of the text.
#[inline]
pub(crate) fn plain_run(text: &[u8], from: usize) -> usize {
    let mut at = from;
    // Most strings are short; a long one is worth larger steps.
    for _ in 0..2 {
        let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return plain_tail(text, at);
        };
        let found = special(chunk);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    plain_tail(text, at)
}

fn plain_tail(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        // Without an early exit, so that the compiler compares many bytes at once.
        let found = chunk.iter().fold(false, |found, byte| found | is_special(*byte));
        if found {
            break;
        }
        at += 32;
    }
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = special(chunk);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| !is_special(byte)) {
        at += 1;
    }
    at
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Marks the highest bit of each special byte; above the lowest mark, others may be marked wrongly.
#[inline]
fn special(chunk: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*chunk);
    (zeros(word ^ (ONES * b'"' as u64))
        | zeros(word ^ (ONES * b'\\' as u64))
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGHS
}

/// Marks the highest bit of each zero byte, and perhaps of bytes above one.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// Returns the first position from `from` on that holds one of two bytes, which may be near or far.
#[inline]
pub(crate) fn find_either(text: &[u8], from: usize, a: u8, b: u8) -> Option<usize> {
    let mut at = from;
    for _ in 0..2 {
        let Some(chunk) = text.get(at..)?.first_chunk::<8>() else { break };
        let word = u64::from_le_bytes(*chunk);
        let found =
            (zeros(word ^ (ONES * u64::from(a))) | zeros(word ^ (ONES * u64::from(b)))) & HIGHS;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr::memchr2(a, b, &text[at..]).map(|offset| at + offset)
}

/// Returns the first position from `from` on that holds one of three bytes.
///
/// For bytes that come every few bytes this is faster than `memchr3`, which is made for rare ones.
#[inline]
pub(crate) fn find_any(text: &[u8], from: usize, needles: [u8; 3]) -> Option<usize> {
    let mut at = from;
    let [a, b, c] = needles.map(|needle| ONES * u64::from(needle));
    while let Some(chunk) = text.get(at..)?.first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = (zeros(word ^ a) | zeros(word ^ b) | zeros(word ^ c)) & HIGHS;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    text[at..].iter().position(|byte| needles.contains(byte)).map(|offset| at + offset)
}

/// Checks the string whose opening quote is at `quote`; returns the position after it and whether it has escapes.
pub(crate) fn scan(text: &[u8], quote: usize) -> Result<(usize, bool), Fault> {
    let mut at = plain_run(text, quote + 1);
    if text.get(at) == Some(&b'"') {
        return Ok((at + 1, false));
    }
    loop {
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, true)),
            Some(b'\\') => at = plain_run(text, escape_end(text, at)?),
            Some(_) => {
                return Err(Fault::syntax("a control character in a string must be escaped", at));
            }
            None => return Err(Fault::end_of_text(text.len())),
        }
    }
}

/// Checks the escape whose backslash is at `at` (both halves of a surrogate pair); returns the position after it.
fn escape_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(at + 2),
        Some(b'u') => {}
        Some(_) => return Err(Fault::syntax("unknown escape in a string", at)),
        None => return Err(Fault::end_of_text(text.len())),
    }
    let lone = || Fault::new(TextErrorKind::LoneSurrogate, at);
    match hex4(text, at + 2)? {
        0xD800..=0xDBFF => {
            if text.get(at + 6..at + 8) != Some(br"\u") {
                return Err(lone());
            }
            match hex4(text, at + 8)? {
                0xDC00..=0xDFFF => Ok(at + 12),
                _ => Err(lone()),
            }
        }
        0xDC00..=0xDFFF => Err(lone()),
        _ => Ok(at + 6),
    }
}

fn hex4(text: &[u8], at: usize) -> Result<u32, Fault> {
    let mut unit = 0;
    for place in at..at + 4 {
        let byte = *text.get(place).ok_or_else(|| Fault::end_of_text(text.len()))?;
        let digit = char::from(byte)
            .to_digit(16)
            .ok_or_else(|| Fault::syntax("expected four hexadecimal digits after \\u", place))?;
        unit = unit * 16 + digit;
    }
    Ok(unit)
}

/// Writes `text` as the inside of a JSON string, escaping only what must be: `"`, `\` and control characters.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = plain_run(bytes, from);
        out.extend_from_slice(&bytes[from..at]);
        let Some(&byte) = bytes.get(at) else { return };
        escape_byte(out, byte);
        from = at + 1;
    }
}

fn escape_byte(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
