//! History: earlier versions, who changed what, and undo.

mod lines;
mod moment;
mod page;
mod read;
mod setting;
mod take_back;
mod undo_by;
mod writes;

use meldb::Error;

use crate::error::{Code, HttpError};

pub use self::{
    lines::{blame_text, history_line},
    moment::{Moment, revision_before},
    setting::HistorySetting,
    undo_by::{UndoneBy, UndoneField, UndoneWrite},
};
pub(crate) use self::{
    page::PAGE_VERSIONS_MAX,
    read::read,
    take_back::{Asked, take_back},
    undo_by::undo_by,
    writes::writes,
};

/// Checks the body of a request whose parameters say everything: there is none, or an empty object.
///
/// # Errors
/// 400.
pub(crate) fn check_body(text: &[u8]) -> Result<(), HttpError> {
    match text.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(HttpError::bad_request("this takes no body: its parameters say everything")),
    }
}

/// How often something is taken back, when others keep writing between looking and writing.
const TRIES_MAX: usize = 100;

/// Returns whether another write came between looking and writing.
fn is_overtaken(error: &Error) -> bool {
    match error {
        Error::RevisionMismatch { .. } | Error::AlreadyExists { .. } => true,
        Error::OperationFailed { source, .. } => is_overtaken(source),
        _ => false,
    }
}

/// Returns the answer where that happened [`TRIES_MAX`] times.
fn overtaken() -> HttpError {
    let message = "others wrote again and again between looking and writing; repeat";
    HttpError::new(Code::Unavailable, message)
}

/// The longest body of such a request.
pub(crate) const BODY_BYTES_MAX: usize = 1024;
