//! Scanning JSON strings (RFC 8259 §7) and writing them with as few escapes as possible.

use super::error::{Fault, TextErrorKind};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Returns the first position from `from` on that holds `"`, `\` or a control character, else the length of the text.
pub(crate) fn plain_run(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // Eight bytes at a time. A borrow can only mark a byte above one that is marked rightly, and the lowest counts.
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
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
            Some(_) => return Err(Fault::syntax("a control character in a string must be escaped", at)),
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
