//! The error for a stored text that is not in the stored form.

/// A stored text that is not canonical, which no compiled text ever is: storage has damaged it.
///
/// Finding damage is a courtesy, not a promise: only the parts that an operation looks at are checked, and damage
/// inside a value goes unseen. Detecting it is the work of the record's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored text is damaged near byte {at}")]
pub struct DamagedText {
    /// The offset in bytes near which the text stopped making sense.
    pub at: usize,
}
