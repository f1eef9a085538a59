//! How much a page of history holds.

/// The versions of a page when nothing is asked for.
pub(super) const PAGE_VERSIONS: usize = 100;
/// The most versions of a page.
pub(crate) const PAGE_VERSIONS_MAX: usize = 1000;
/// Room for a version and the text that is made of it.
pub(super) const VERSION_BYTES: usize = 1024;
