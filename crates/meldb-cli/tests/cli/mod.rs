//! The program as its users meet it: every test runs the built binary.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod audit;
mod demo;
mod dump_log;
mod errors;
mod examples;
mod export;
mod exposure;
mod history;
mod import;
mod index;
mod keys;
mod messages;
mod operate;
mod operation;
mod parity;
mod postgres;
mod read_only;
mod readme;
mod serve;
mod shell;
mod socket;
mod support;
mod terminal;
mod verify;
