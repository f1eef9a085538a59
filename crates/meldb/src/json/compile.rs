//! Checking a client's text and bringing it into canonical form, in one pass and without recursion.
//!
//! The text is copied in runs: only white space, top-level commas and names whose escapes change break a run, so that
//! a compact text costs one scan and hardly more than one copy.

use super::bounds::{Bounds, TEXT_BYTES_MAX};
use super::error::{Fault, TextError, TextErrorKind};
use super::names::{Names, Scope};
use super::tape::{Recorder, Tape};
use super::{number, string, unescape};

/// What the outermost value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// An object, whose fields `updated` and `updatedBy` are left out and whose fields each follow a `\n`.
    Document,
    /// An array.
    Operations,
}

/// What to compile, and what to note on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) root: Root,
    /// How many levels of objects go on the tape; 0 for none.
    pub(crate) tape_levels: usize,
    /// Whether a `null` on the tape means removal.
    pub(crate) null_removes: bool,
    pub(crate) bounds: Bounds,
}

/// A text in canonical form.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    /// What stands between the outermost brackets.
    pub(crate) text: Vec<u8>,
    pub(crate) tape: Tape,
    /// The nesting, counting the outermost value as 1.
    pub(crate) depth: usize,
    /// Where in the source each element of [`Root::Operations`] starts.
    pub(crate) element_starts: Vec<usize>,
}

/// Compiles `source`, or says what is wrong with it and where.
pub(crate) fn compile(source: &[u8], request: &Request) -> Result<Compiled, TextError> {
    let mut compiler = Compiler::new(source, request);
    match check_encoding(source).and_then(|()| compiler.run()) {
        Ok(()) => Ok(Compiled {
            text: compiler.out,
            tape: compiler.tape.finish(),
            depth: compiler.depth,
            element_starts: compiler.element_starts,
        }),
        Err(fault) => Err(TextError::new(source, fault)),
    }
}

fn check_encoding(source: &[u8]) -> Result<(), Fault> {
    if source.len() > TEXT_BYTES_MAX {
        return Err(Fault::new(TextErrorKind::TooLarge { limit: TEXT_BYTES_MAX }, TEXT_BYTES_MAX));
    }
    match std::str::from_utf8(source) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new(TextErrorKind::InvalidUtf8, error.valid_up_to())),
    }
}

/// How many bytes of a text are expected to hold a field, and how many fields at most there is room for before any
/// has come: growing costs more than a text of a few fields otherwise does, and large allocations cost more too.
const BYTES_PER_MEMBER: usize = 24;
const MEMBERS_EXPECTED_MAX: usize = 48;

struct Compiler<'s> {
    source: &'s [u8],
    request: &'s Request,
    at: usize,
    /// Where the run starts that is not in `out` yet.
    run: usize,
    out: Vec<u8>,
    /// The innermost open container; of no meaning at level 0.
    inner: Frame,
    /// The containers around it, outermost first.
    outer: Vec<Frame>,
    /// How many containers are open.
    level: usize,
    names: Names,
    tape: Recorder,
    depth: usize,
    element_starts: Vec<usize>,
    /// Set while the value of a top-level `updated` or `updatedBy` is read: how long `out` was before the field.
    dropping: Option<usize>,
    /// Whether top-level `updated`, `updatedBy` have occurred.
    stamps_seen: [bool; 2],
}

/// An open object or array.
#[derive(Default)]
struct Frame {
    close: u8,
    /// Whether the items go on the tape.
    taped: bool,
    /// Where its items start among the tape's open ones.
    tape_base: usize,
    names: Scope,
}

/// What comes next.
enum Next {
    Value,
    AfterValue,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s [u8], request: &'s Request) -> Self {
        let members = (source.len() / BYTES_PER_MEMBER).clamp(4, MEMBERS_EXPECTED_MAX);
        Self {
            source,
            request,
            at: 0,
            run: 0,
            // Every top-level field gains a newline; it seldom has less than 32 bytes.
            out: Vec::with_capacity(source.len() + source.len() / 32 + 8),
            inner: Frame::default(),
            outer: Vec::new(),
            level: 0,
            names: Names::with_capacity(members),
            tape: Recorder::with_capacity(if request.tape_levels > 0 { members } else { 0 }),
            depth: 0,
            element_starts: Vec::new(),
            dropping: None,
            stamps_seen: [false; 2],
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        self.root()?;
        let mut next = self.first_item()?;
        loop {
            next = match next {
                Next::Value => self.value()?,
                Next::AfterValue if self.level == 0 => break,
                Next::AfterValue => {
                    self.value_ended();
                    self.next_item()?
                }
            };
        }
        self.white_space();
        if self.at < self.source.len() {
            return Err(Fault::new(TextErrorKind::Trailing, self.at));
        }
        Ok(())
    }

    /// Enters the outermost value.
    fn root(&mut self) -> Result<(), Fault> {
        self.white_space();
        let (open, otherwise) = match self.request.root {
            Root::Document => (b'{', TextErrorKind::NotAnObject),
            Root::Operations => (b'[', TextErrorKind::NotAnArray),
        };
        match self.source.get(self.at) {
            None => Err(Fault::new(TextErrorKind::Empty, 0)),
            Some(&byte) if byte == open => {
                self.open(byte)?;
                self.run = self.at;
                Ok(())
            }
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                Err(Fault::new(otherwise, self.at))
            }
            Some(_) if self.source.starts_with("\u{feff}".as_bytes()) => Err(Fault::syntax(
                "a byte order mark is not allowed; save the text as UTF-8 without one",
                self.at,
            )),
            Some(_) => Err(Fault::syntax("expected a JSON value", self.at)),
        }
    }

    fn value(&mut self) -> Result<Next, Fault> {
        match self.source.get(self.at) {
            Some(b'"') => self.at = string::scan(self.source, self.at)?.0,
            Some(b'-' | b'0'..=b'9') => self.at = number::scan(self.source, self.at)?,
            Some(&bracket @ (b'{' | b'[')) => {
                self.open(bracket)?;
                return self.first_item();
            }
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => {
                self.literal(b"null")?;
                if self.request.null_removes && self.inner.taped {
                    self.tape.null();
                }
            }
            Some(_) => return Err(Fault::syntax("expected a JSON value", self.at)),
            None => return Err(Fault::end_of_text(self.at)),
        }
        Ok(Next::AfterValue)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.source[self.at..].starts_with(word) {
            return Err(Fault::syntax("expected a JSON value", self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Fault> {
        let limit = self.request.bounds.depth();
        if self.level >= limit {
            return Err(Fault::new(TextErrorKind::TooDeep { limit }, self.at));
        }
        let taped = match self.level {
            0 => self.request.tape_levels > 0,
            level => self.inner.taped && bracket == b'{' && level < self.request.tape_levels,
        };
        // '[' and ']' are two apart in ASCII, and so are '{' and '}'.
        let frame = Frame {
            close: bracket + 2,
            taped,
            tape_base: self.tape.open(),
            names: self.names.open(),
        };
        let around = std::mem::replace(&mut self.inner, frame);
        if self.level > 0 {
            self.outer.push(around);
        }
        self.level += 1;
        self.depth = self.depth.max(self.level);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.level -= 1;
        let frame = std::mem::replace(&mut self.inner, self.outer.pop().unwrap_or_default());
        let index = self.names.close(frame.names);
        if frame.taped {
            self.tape.close(frame.tape_base, index, self.level == 0);
        }
        if self.level == 0 {
            // The outermost brackets are not part of the canonical text.
            self.run = self.at;
        }
    }

    /// Goes on after an opening bracket.
    fn first_item(&mut self) -> Result<Next, Fault> {
        self.white_space();
        if self.source.get(self.at) == Some(&self.inner.close) {
            self.close();
            return Ok(Next::AfterValue);
        }
        self.item()
    }

    /// Goes on after a value inside a container.
    fn next_item(&mut self) -> Result<Next, Fault> {
        self.white_space();
        let close = self.inner.close;
        match self.source.get(self.at) {
            Some(b',') => {
                self.at += 1;
                if self.level == 1 {
                    // Written anew by `item`, unless a field is left out.
                    self.run = self.at;
                }
                self.white_space();
                self.item()
            }
            Some(&byte) if byte == close => {
                self.close();
                Ok(Next::AfterValue)
            }
            Some(_) if close == b'}' => {
                Err(Fault::syntax("expected ',' or '}' after a member", self.at))
            }
            Some(_) => Err(Fault::syntax("expected ',' or ']' after an element", self.at)),
            None => Err(Fault::end_of_text(self.at)),
        }
    }

    /// Reads up to the value of a field, or starts an element.
    fn item(&mut self) -> Result<Next, Fault> {
        let before = self.out.len();
        if self.level == 1 {
            self.run = self.at;
            if !self.out.is_empty() {
                self.out.push(b',');
            }
            if self.request.root == Root::Document {
                self.out.push(b'\n');
            }
        }
        let start = self.position();
        if self.inner.close == b'}' {
            self.name(before)?;
        } else if self.level == 1 {
            self.element_starts.push(self.at);
        }
        if self.inner.taped {
            self.tape.item(start, self.position());
        }
        Ok(Next::Value)
    }

    /// Reads a field's name and colon; `before` is how long `out` was before the field.
    fn name(&mut self, before: usize) -> Result<(), Fault> {
        let quote = self.at;
        match self.source.get(quote) {
            Some(b'"') => {}
            Some(_) => return Err(Fault::syntax("expected a member name in quotes", quote)),
            None => return Err(Fault::end_of_text(quote)),
        }
        let (end, escaped) = string::scan(self.source, quote)?;
        let source = self.source;
        let mut name = &source[quote + 1..end - 1];
        let mut start = self.position() + 1;
        let mut name_bytes = name.len();
        let mut canonical = Vec::new();
        if escaped {
            let text = unescape::unescape(name);
            name_bytes = text.len();
            string::escape_into(&mut canonical, &text);
            self.flush(quote + 1);
            start = self.out.len();
            self.out.extend_from_slice(&canonical);
            self.run = end - 1;
            name = &canonical;
        }
        self.at = end;
        let limit = self.request.bounds.name_bytes_max;
        if name_bytes > limit {
            return Err(Fault::new(TextErrorKind::NameTooLong { limit }, quote));
        }
        if !self.declare(name, start, before) {
            let name = unescape::unescape(name).into_owned();
            return Err(Fault::new(TextErrorKind::DuplicateName(name), quote));
        }
        self.colon()
    }

    /// Notes the canonical name of a field; false if the object has it already.
    fn declare(&mut self, name: &[u8], start: usize, before: usize) -> bool {
        if self.level == 1 {
            let stamp = [&b"updated"[..], b"updatedBy"].iter().position(|stamp| *stamp == name);
            if let Some(stamp) = stamp {
                self.dropping = Some(before);
                return !std::mem::replace(&mut self.stamps_seen[stamp], true);
            }
        }
        let (source, run, out) = (self.source, self.run, &self.out);
        self.names.add(&mut self.inner.names, start as u32, name, |start, length| {
            let (start, length) = (start as usize, length as usize);
            // A name is never split: it is in `out` whole or in the current run whole.
            match start.checked_sub(out.len()) {
                None => &out[start..start + length],
                Some(offset) => &source[run + offset..run + offset + length],
            }
        })
    }

    fn colon(&mut self) -> Result<(), Fault> {
        self.white_space();
        match self.source.get(self.at) {
            Some(b':') => self.at += 1,
            Some(_) => return Err(Fault::syntax("expected ':' after a member name", self.at)),
            None => return Err(Fault::end_of_text(self.at)),
        }
        self.white_space();
        Ok(())
    }

    fn value_ended(&mut self) {
        if self.inner.taped {
            self.tape.item_ended(self.position());
        }
        if self.level == 1 {
            self.flush(self.at);
            if let Some(before) = self.dropping.take() {
                self.out.truncate(before);
                self.tape.forget_item();
            }
        }
    }

    #[inline]
    fn white_space(&mut self) {
        if self.source.get(self.at).is_some_and(|&byte| byte <= b' ') {
            self.skip_white_space();
        }
    }

    fn skip_white_space(&mut self) {
        let from = self.at;
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.source.get(self.at) {
            self.at += 1;
        }
        if self.at > from {
            self.flush(from);
            self.run = self.at;
        }
    }

    /// Copies the current run up to `to`.
    fn flush(&mut self, to: usize) {
        self.out.extend_from_slice(&self.source[self.run..to]);
        self.run = to;
    }

    /// Where in the canonical text the byte at `at` will be.
    fn position(&self) -> usize {
        self.out.len() + self.at - self.run
    }
}
