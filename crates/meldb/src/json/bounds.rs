//! The limits that a JSON text must keep.

/// The deepest nesting that any setting can allow; a larger [`Bounds::depth_max`] counts as this.
///
/// Merging recurses along the patch, so the depth of a patch is a depth of the stack.
pub const DEPTH_CAP: usize = 512;

/// The longest text in bytes that is ever compiled, whatever the caller's own limit: positions are kept in 32 bits.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// What a JSON text may not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The deepest nesting of objects and arrays; the document itself is depth 1. At most [`DEPTH_CAP`] has effect.
    pub depth_max: usize,
    /// The longest field name in bytes of UTF-8, counted after unescaping.
    pub name_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth_max: 64, name_bytes_max: 1024 }
    }
}

impl Bounds {
    /// Returns the bounds for a text that will be placed `levels` levels deep in a document that must keep these.
    #[must_use]
    pub fn inside(self, levels: usize) -> Self {
        Self { depth_max: self.depth().saturating_sub(levels), ..self }
    }

    /// The nesting that is really allowed.
    pub(crate) fn depth(self) -> usize {
        self.depth_max.min(DEPTH_CAP)
    }
}
