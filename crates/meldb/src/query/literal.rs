//! A JSON value that documents are compared with.

use std::fmt;

use crate::json::{
    Bounds, TextError, TextErrorKind,
    compile::{Request, Root, compile},
};

/// A JSON value in canonical text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal(String);

impl Literal {
    /// Reads one JSON value.
    pub(super) fn compile(text: &str) -> Result<Self, TextError> {
        // As the only element of an array, which is one level more.
        let bounds = Bounds::default();
        let bounds = Bounds { depth_max: bounds.depth_max + 1, ..bounds };
        let request =
            Request { root: Root::Operations, tape_levels: 0, null_removes: false, bounds };
        let compiled = compile(format!("[{text}]").as_bytes(), &request)?;
        // Canonical text is the sender's, which is UTF-8.
        Ok(Self(String::from_utf8_lossy(&compiled.text).into_owned()))
    }

    /// Takes a part of a canonical text.
    pub(super) fn of_canonical(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the string with these characters.
    pub(super) fn string(text: &str) -> Self {
        let inside = super::path::canonical(text);
        Self(format!("\"{}\"", String::from_utf8_lossy(&inside)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns where in the text of [`Literal::compile`] a mistake is, as a byte offset.
pub(super) fn offset_of(text: &str, error: &TextError) -> usize {
    let lines = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum::<usize>();
    // The bracket in front of the first line counts as a column of it.
    let bracket = usize::from(error.line() == 1);
    (lines + error.column()).saturating_sub(1 + bracket).min(text.len())
}

/// Returns what is wrong with a value, without its place.
pub(super) fn reason_of(error: &TextError) -> String {
    match error.kind() {
        TextErrorKind::TooDeep { .. } => "the value is nested too deep".to_owned(),
        kind => kind.to_string(),
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
