//! A whole document as a client sent it.

use super::Stamp;
use crate::copy::append;
use crate::json::compile::{Compiled, Request, Root, compile};
use crate::json::{Bounds, TextError};

/// A checked document, ready to be stamped and stored.
#[derive(Debug, Clone)]
pub struct Content(Compiled);

impl Content {
    /// Checks a client's text and brings it into canonical form.
    ///
    /// The text must be one JSON object (RFC 8259) in UTF-8 without lone surrogates, without duplicate names at any
    /// depth and within `bounds`. Top-level fields `updated` and `updatedBy` are left out, whatever they hold: the
    /// stamp stands for them. `null` fields stay. Takes time linear in the text.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where. Every mistake but invalid UTF-8 is reported in the order of the text.
    pub fn compile(text: &[u8], bounds: &Bounds) -> Result<Self, TextError> {
        let request =
            Request { root: Root::Document, tape_levels: 0, null_removes: false, bounds: *bounds };
        compile(text, &request).map(Self)
    }

    /// Returns the stored text of the document.
    #[must_use]
    pub fn stamped(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let members = &self.0.text;
        let mut out = Vec::with_capacity(stamp.size_hint() + members.len());
        stamp.write(&mut out);
        if !members.is_empty() {
            out.push(b',');
        }
        append(&mut out, members);
        out.push(b'}');
        out
    }

    /// Returns the nesting of the document, which is 1 if it holds no objects or arrays.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.depth
    }
}
