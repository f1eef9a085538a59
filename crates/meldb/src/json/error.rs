//! What is wrong with a text that a client sent, and where.

/// Why a JSON text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextErrorKind {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Not JSON (RFC 8259); says what would have been.
    #[error("{0}")]
    Syntax(&'static str),
    /// Not UTF-8 (RFC 8259 §8.1). Looked for first, so that it is reported before any other mistake.
    #[error("the text is not UTF-8")]
    InvalidUtf8,
    /// An escaped half of a surrogate pair without its other half, which no Unicode text can hold (RFC 8259 §8.2).
    #[error("a surrogate is escaped without its other half")]
    LoneSurrogate,
    /// A field name that occurs twice in one object; compared, and shown, after unescaping.
    #[error("the member name {0:?} occurs twice in one object")]
    DuplicateName(String),
    /// JSON perhaps, but not an object.
    #[error("the text is not a JSON object, such as {{\"name\":\"Ada\"}}")]
    NotAnObject,
    /// A Rust string that was given as a value to serialize.
    #[error(
        "a string is given where an object is wanted; to give JSON as text, wrap it in `JsonText`"
    )]
    AString,
    /// JSON perhaps, but not an array (a JSON Patch is one).
    #[error("the text is not a JSON array, such as [{{\"op\":\"remove\",\"path\":\"/name\"}}]")]
    NotAnArray,
    /// Nested deeper than allowed.
    #[error("the nesting is deeper than {limit} levels")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// A field name longer than allowed.
    #[error("a member name is longer than {limit} bytes")]
    NameTooLong {
        /// The longest name allowed, in bytes of UTF-8 after unescaping.
        limit: usize,
    },
    /// Something other than white space after the end of the value.
    #[error("there is text after the end of the JSON value")]
    Trailing,
    /// Longer than any text may be.
    #[error("the text is longer than {limit} bytes")]
    TooLarge {
        /// The longest text allowed, in bytes.
        limit: usize,
    },
    /// An element of a JSON Patch that is not an operation of RFC 6902.
    #[error("operation {index} of the JSON Patch is not valid: {reason}")]
    Operation {
        /// The operation's place in the patch, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A JSON text that was refused: why, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at line {line}, column {column}")]
pub struct TextError {
    kind: TextErrorKind,
    line: usize,
    column: usize,
}

impl TextError {
    /// Returns why the text was refused.
    #[must_use]
    pub fn kind(&self) -> &TextErrorKind {
        &self.kind
    }

    /// Returns the line, from 1. Lines end at `\n`.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column in **bytes** (not characters), from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// Says where in `source` a fault lies.
    pub(crate) fn new(source: &[u8], fault: Fault) -> Self {
        let before = &source[..fault.at.min(source.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self { kind: *fault.kind, line, column: before.len() - line_start + 1 }
    }
}

/// A mistake at a byte offset; becomes a [`TextError`] once, on the way out.
///
/// Boxed, so that results that carry one fit into registers.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Box<TextErrorKind>,
    pub(crate) at: usize,
}

impl Fault {
    #[cold]
    pub(crate) fn new(kind: TextErrorKind, at: usize) -> Self {
        Self { kind: Box::new(kind), at }
    }

    pub(crate) fn syntax(expected: &'static str, at: usize) -> Self {
        Self::new(TextErrorKind::Syntax(expected), at)
    }

    pub(crate) fn end_of_text(at: usize) -> Self {
        Self::syntax("the text ends too early", at)
    }
}
