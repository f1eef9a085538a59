//! From what a route leads to, to a verb of the store, and from its outcome to an answer.

pub(crate) mod admin;
pub(crate) mod batch;
pub(crate) mod bulk;
pub(crate) mod changes;
pub(crate) mod collections;
pub(crate) mod document;
pub(crate) mod effect;
pub(crate) mod find;
pub(crate) mod history;
pub(crate) mod list;
mod listed;
pub(crate) mod report;
