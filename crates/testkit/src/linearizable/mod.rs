//! Histories of concurrent calls, and whether an order of the calls explains every answer.
//!
//! Callers of a few threads read, put, insert, merge, merge on a condition and delete two documents,
//! one at a time or both in a batch. What each was asked and what it answered is recorded in the
//! order in which it happened, and `stateright` looks for an order of the calls, one at a time, that
//! explains every answer. Both documents are one object, so that a batch of which half is seen has
//! no such order. A call whose outcome nobody has told counts as one that never returned.

mod direct;
mod document;
mod history;
mod http;
mod pair;

pub use direct::Direct;
pub use document::{Answer, Call, Members};
pub use history::{Caller, Heard, History};
pub use http::OverHttp;
pub use pair::{DOCUMENTS, Request, Response};
