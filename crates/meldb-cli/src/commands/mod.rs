//! One file for each command.

pub(crate) mod demo;
pub(crate) mod document;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod serve;
pub(crate) mod verify;
