//! One file for each command.

pub(crate) mod backup;
pub(crate) mod batch;
pub(crate) mod changes;
mod common;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod document;
pub(crate) mod dump_log;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod keep;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod migrate;
mod printed;
pub(crate) mod quota;
pub(crate) mod reset_clock;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod take_back;
pub(crate) mod verify;
