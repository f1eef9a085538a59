//! Who wrote a document last, and when.

use crate::json::string::escape_into;

/// The two fields that every write puts first in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// When, in milliseconds since 1970-01-01T00:00:00Z; the field `updated`.
    pub updated_ms: u64,
    /// Who; the field `updatedBy`. Any text: it is escaped when written.
    pub updated_by: &'a str,
}

impl Stamp<'_> {
    /// Starts a stored text: the opening bracket and the two fields.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\n\"updated\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.updated_ms).as_bytes());
        out.extend_from_slice(b",\n\"updatedBy\":\"");
        escape_into(out, self.updated_by);
        out.push(b'"');
    }

    /// About how many bytes [`Self::write`] writes; more only if the actor needs escapes.
    pub(super) fn size_hint(&self) -> usize {
        64 + self.updated_by.len()
    }
}
