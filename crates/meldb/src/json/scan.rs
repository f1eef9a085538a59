//! Finding the top-level fields of a long stored text, with vectors as wide as the processor has.
//!
//! A stored text has a newline before every top-level field and nowhere else, so these need not know what is a string
//! and what is nested. What they find in a damaged text is as good as the text.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};

/// So many bytes are compared at once: a bit of a word for each.
const STEP: usize = 64;

/// Returns the first position of `needle`, which is a newline, a name in quotes and a colon.
pub(crate) fn find_member(text: &[u8], needle: &[u8]) -> Option<usize> {
    dispatch!(Level::new(), simd => find_member_with(simd, text, needle))
}

/// Appends the position of every newline to `positions`, counted from `base`.
pub(crate) fn newlines(text: &[u8], base: usize, positions: &mut Vec<usize>) {
    dispatch!(Level::new(), simd => newlines_with(simd, text, base, positions));
}

/// Looks for the needle's first and last byte at their distance, and compares the rest where both are.
#[inline(always)]
fn find_member_with<S: Simd>(simd: S, text: &[u8], needle: &[u8]) -> Option<usize> {
    let (newline, colon) = (u8x64::splat(simd, b'\n'), u8x64::splat(simd, b':'));
    let steps = text.as_chunks::<{ 2 * STEP }>().0.iter();
    let ends = text.get(needle.len() - 1..)?.as_chunks::<{ 2 * STEP }>().0;
    let mut at = 0;
    for (firsts, lasts) in steps.zip(ends) {
        let both = |half: usize| {
            let firsts = u8x64::from_slice(simd, &firsts[half * STEP..][..STEP]);
            let lasts = u8x64::from_slice(simd, &lasts[half * STEP..][..STEP]);
            firsts.simd_eq(newline) & lasts.simd_eq(colon)
        };
        let halves = [both(0), both(1)];
        if (halves[0] | halves[1]).any_true() {
            for (half, both) in halves.into_iter().enumerate() {
                let mut bits = both.to_bitmask();
                while bits != 0 {
                    let found = at + half * STEP + bits.trailing_zeros() as usize;
                    if text[found..].starts_with(needle) {
                        return Some(found);
                    }
                    bits &= bits - 1;
                }
            }
        }
        at += 2 * STEP;
    }
    memchr::memchr_iter(b'\n', &text[at..])
        .map(|offset| at + offset)
        .find(|&found| text[found..].starts_with(needle))
}

#[inline(always)]
fn newlines_with<S: Simd>(simd: S, text: &[u8], base: usize, positions: &mut Vec<usize>) {
    let newline = u8x64::splat(simd, b'\n');
    let (steps, rest) = text.as_chunks::<STEP>();
    let mut at = base;
    for step in steps {
        let mut bits = u8x64::from_slice(simd, step).simd_eq(newline).to_bitmask();
        while bits != 0 {
            positions.push(at + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
        at += STEP;
    }
    positions.extend(memchr::memchr_iter(b'\n', rest).map(|offset| at + offset));
}
