//! Walking canonical text without parsing it.
//!
//! Nothing here checks that a value is well formed, only that its ends can be found; `None` and [`DamagedText`] mean
//! that they cannot.

use std::ops::Range;

use super::damaged::DamagedText;
use super::string::{find_any, find_either};

/// Returns the position after the string whose opening quote is at `quote`.
#[inline]
pub(crate) fn string_end(text: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        at = find_either(text, at, b'"', b'\\')?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns the position after the value that starts at `at`.
#[inline]
pub(crate) fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' => container_end(text, at + 1, b'}'),
        b'[' => container_end(text, at + 1, b']'),
        _ => {
            let rest = &text[at..];
            let length = rest
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']'))
                .unwrap_or(rest.len());
            (length > 0).then_some(at + length)
        }
    }
}

/// Returns the position after the container that `at` is directly inside of, between two of its tokens.
///
/// Only brackets of the container's own sort are counted: the others balance among themselves.
pub(crate) fn container_end(text: &[u8], at: usize, close: u8) -> Option<usize> {
    let open = close - 2;
    let mut at = at;
    let mut depth = 1_usize;
    loop {
        at = find_any(text, at, [b'"', open, close])?;
        match text[at] {
            b'"' => at = string_end(text, at)?,
            byte => {
                at += 1;
                if byte == open {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
            }
        }
    }
}

/// Returns how deep the containers of `text` nest; 0 for a scalar.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => match string_end(text, at) {
                Some(end) => at = end - 1,
                None => return deepest,
            },
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// One field of an object; the ranges are offsets into the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The canonical name without its quotes.
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// The fields of an object, with or without newlines before them.
#[derive(Debug, Clone)]
pub(crate) struct Members<'t> {
    text: &'t [u8],
    at: usize,
    state: State,
}

/// The elements of an array, as ranges of offsets into the text.
#[derive(Debug, Clone)]
pub(crate) struct Elements<'t> {
    text: &'t [u8],
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Later,
    Done,
}

impl<'t> Members<'t> {
    /// Walks the object whose opening bracket is at `open`.
    pub(crate) fn new(text: &'t [u8], open: usize) -> Self {
        Self { text, at: open + 1, state: State::First }
    }

    /// Where the walk is: after the last field, on the closing bracket.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn step(&mut self) -> Option<Option<Member>> {
        let Some(()) = separator(self.text, &mut self.at, &mut self.state, b'}')? else {
            return Some(None);
        };
        if self.text.get(self.at) == Some(&b'\n') {
            self.at += 1;
        }
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(self.text, self.at)?;
        if self.text.get(name_end) != Some(&b':') {
            return None;
        }
        let value_end = value_end(self.text, name_end + 1)?;
        let member = Member { name: self.at + 1..name_end - 1, value: name_end + 1..value_end };
        self.at = value_end;
        Some(Some(member))
    }
}

impl Iterator for Members<'_> {
    type Item = Result<Member, DamagedText>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        self.step().map_or_else(
            || {
                self.state = State::Done;
                Some(Err(DamagedText { at: self.at }))
            },
            |member| member.map(Ok),
        )
    }
}

impl<'t> Elements<'t> {
    /// Walks the array whose opening bracket is at `open`.
    pub(crate) fn new(text: &'t [u8], open: usize) -> Self {
        Self { text, at: open + 1, state: State::First }
    }

    fn step(&mut self) -> Option<Option<Range<usize>>> {
        let Some(()) = separator(self.text, &mut self.at, &mut self.state, b']')? else {
            return Some(None);
        };
        let value_end = value_end(self.text, self.at)?;
        let element = self.at..value_end;
        self.at = value_end;
        Some(Some(element))
    }
}

impl Iterator for Elements<'_> {
    type Item = Result<Range<usize>, DamagedText>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        self.step().map_or_else(
            || {
                self.state = State::Done;
                Some(Err(DamagedText { at: self.at }))
            },
            |element| element.map(Ok),
        )
    }
}

/// Steps over what stands before an item; `Some(None)` at the end of the container, `None` on damage.
fn separator(text: &[u8], at: &mut usize, state: &mut State, close: u8) -> Option<Option<()>> {
    let byte = *text.get(*at)?;
    if byte == close {
        *state = State::Done;
        return Some(None);
    }
    match state {
        State::First => *state = State::Later,
        State::Later if byte == b',' => *at += 1,
        _ => return None,
    }
    Some(Some(()))
}
