//! Earlier versions of documents, who set which field, and undo.

mod blame;
mod undo;
mod versions;
mod writes;

pub(crate) use blame::blame;
pub use blame::{Blame, BlamedField, SetBy};
pub(crate) use undo::{Undo, UndoAction, UndoneDocument, revert_of, undo_of, undone_by};
pub(crate) use versions::document_at;
pub use versions::{Version, VersionPage, Versions};
pub use writes::{WritePage, Writes};
