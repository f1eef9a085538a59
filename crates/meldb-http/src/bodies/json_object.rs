//! The one check of JSON texts: of bodies, batches and lines, with the messages that documents have.

use meldb::merge::{Bounds, Content, DEPTH_CAP, TextError};

/// Checks that a text is one JSON object (RFC 8259) in UTF-8, whose names are unique at every depth, and
/// nothing else.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check_object(text: &[u8]) -> Result<(), TextError> {
    const ANY: Bounds = Bounds { depth_max: DEPTH_CAP, name_bytes_max: usize::MAX };
    Content::compile(text, &ANY).map(drop)
}

/// As [`check_object`], of one line of a text; the message has the number of the line in that text.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check_line(line: &[u8], number: u64) -> Result<(), String> {
    check_object(line)
        .map_err(|error| format!("{}, at line {number}, column {}", error.kind(), error.column()))
}
