//! History: earlier versions, who changed what, and undo.

mod lines;
mod moment;
mod overtaken;
mod page;
mod read;
mod setting;
mod take_back;
mod undo_by;
mod writes;

use crate::error::HttpError;

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

/// The longest body of such a request.
pub(crate) const BODY_BYTES_MAX: usize = 1024;
