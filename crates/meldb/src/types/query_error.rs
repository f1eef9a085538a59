//! What is wrong with a filter, a sort order or a list of fields.

/// A filter, a sort order or a list of fields that cannot be used: why, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is not valid: {reason}{}", place(self.position))]
pub struct QueryError {
    what: &'static str,
    reason: String,
    position: Option<(usize, usize)>,
}

impl QueryError {
    /// Returns the error for what has no text, such as a filter that was built.
    pub(crate) fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self { what, reason: reason.into(), position: None }
    }

    /// Returns the error for the text `source` at a byte offset.
    pub(crate) fn at(
        what: &'static str,
        reason: impl Into<String>,
        source: &str,
        at: usize,
    ) -> Self {
        let before = &source.as_bytes()[..at.min(source.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let position = Some((line, before.len() - line_start + 1));
        Self { what, reason: reason.into(), position }
    }

    /// Returns what is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the line, from 1, and the column in bytes, from 1; `None` where there is no text.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.position
    }
}

fn place(position: Option<(usize, usize)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!(", at line {line}, column {column}"))
}
