//! Reading what is committed: a document, a collection in id order, changes, and documents by time.

mod change_reader;
mod changes;
pub(crate) mod expiry_time;
mod get;
mod list;
mod read_step;
mod updated;

pub use change_reader::{Change, ChangePage};
pub use changes::Changes;
pub(crate) use get::get;
pub use list::{Listing, Page};
pub use updated::Updated;
