//! Scanning JSON strings (RFC 8259 §7) and writing them with as few escapes as possible.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x16};

use super::error::{Fault, TextErrorKind};

/// So many bytes are compared at once: strings are short, and every processor can do it.
const STEP: usize = 16;

/// Returns the first position from `from` on that holds `"`, `\` or a control character, else the length of the text.
#[inline(always)]
pub(crate) fn plain_run(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(step) = step(text, at) {
        let marks = dispatch!(Level::baseline(), simd => {
            marks_of([b'"', b'\\'], simd, step) | control_marks(simd, step)
        });
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += STEP;
    }
    while text.get(at).is_some_and(|&byte| !matches!(byte, ..0x20 | b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// Returns the first position from `from` on that holds one of two bytes, which may be near or far.
#[inline]
pub(crate) fn find_either(text: &[u8], from: usize, a: u8, b: u8) -> Option<usize> {
    let mut at = from;
    for _ in 0..2 {
        let Some(step) = step(text, at) else { break };
        let marks = dispatch!(Level::baseline(), simd => marks_of([a, b], simd, step));
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += STEP;
    }
    memchr::memchr2(a, b, text.get(at..)?).map(|offset| at + offset)
}

/// Returns the first position from `from` on that holds one of three bytes.
///
/// For bytes that come every few bytes this is faster than `memchr3`, which is made for rare ones.
#[inline]
pub(crate) fn find_any(text: &[u8], from: usize, needles: [u8; 3]) -> Option<usize> {
    let mut at = from;
    while let Some(step) = step(text, at) {
        let marks = dispatch!(Level::baseline(), simd => marks_of(needles, simd, step));
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += STEP;
    }
    text.get(at..)?.iter().position(|byte| needles.contains(byte)).map(|offset| at + offset)
}

#[inline(always)]
fn step(text: &[u8], at: usize) -> Option<&[u8; STEP]> {
    text.get(at..)?.first_chunk()
}

/// A bit for each byte of the step that is one of `needles`.
#[inline(always)]
fn marks_of<S: Simd, const N: usize>(needles: [u8; N], simd: S, step: &[u8; STEP]) -> u64 {
    let bytes = u8x16::from_slice(simd, step);
    let found = needles.map(|needle| bytes.simd_eq(u8x16::splat(simd, needle)));
    found.into_iter().reduce(|a, b| a | b).map_or(0, |found| found.to_bitmask())
}

/// A bit for each byte of the step that is a control character.
#[inline(always)]
fn control_marks<S: Simd>(simd: S, step: &[u8; STEP]) -> u64 {
    u8x16::from_slice(simd, step).simd_lt(u8x16::splat(simd, 0x20)).to_bitmask()
}

/// Checks the string whose opening quote is at `quote`; returns the position after it and whether it has escapes.
#[inline(always)]
pub(crate) fn scan(text: &[u8], quote: usize) -> Result<(usize, bool), Fault> {
    let at = plain_run(text, quote + 1);
    if text.get(at) == Some(&b'"') {
        return Ok((at + 1, false));
    }
    scan_escapes(text, at).map(|end| (end, true))
}

/// Goes on with a string from its first escape on.
fn scan_escapes(text: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
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
