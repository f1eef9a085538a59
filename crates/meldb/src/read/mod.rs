//! Reading what is committed: a document, a collection in id order, changes, and documents by time.

mod change_reader;
mod changes;
mod cursor;
pub(crate) mod expiry_time;
mod feed;
mod find;
mod get;
pub(crate) mod history;
mod list;
mod plan;
mod read_step;
mod scan_page;
mod top;
mod updated;

pub use change_reader::{Change, ChangePage};
pub use changes::Changes;
pub use cursor::FindCursor;
pub(crate) use expiry_time::full_expiry_ms;
pub use find::{CountPage, Find, FindPage};
pub(crate) use get::get;
pub use history::{Blame, BlamedField, SetBy, Version, VersionPage, Versions, WritePage, Writes};
pub(crate) use history::{
    Undo, UndoAction, UndoneDocument, blame, document_at, revert_of, undo_of, undone_by,
};
pub use list::{Listing, Page};
pub use plan::{Access, Plan, Scan};
pub use updated::Updated;
