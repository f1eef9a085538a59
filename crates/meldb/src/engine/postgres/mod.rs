//! Documents on PostgreSQL, or what speaks its protocol, shared by several processes.
//!
//! A row of `doc` is a document's last write, one of `history` what a write has replaced, and one of `feed_head`
//! is where a tenant stands. A commit advances the heads of its tenants, writes each row that is still as it was
//! read, and puts the entries of history; the lock on a
//! head, held to the end of the commit, puts a tenant's revisions in the order of its commits. The
//! statements are in `statements`, what an error code proves in `sqlstate`, how long anything may take in
//! `patience`, what becomes of a commit whose answer is lost in `in_doubt`, and what of a tenant whose server
//! does not answer in `breaker`.

mod attempt;
mod breaker;
mod bulk_load;
mod commit;
mod connect;
mod database;
mod engine_calls;
mod failure;
mod history;
mod in_doubt;
mod migrate;
mod patience;
mod postgres_engine;
mod read;
mod rows;
mod sqlstate;
mod statements;
mod step;
mod upkeep;
mod walk;

pub use connect::{may_hold_password, without_password};
pub use migrate::{Layout, migrate};
pub use postgres_engine::PostgresEngine;
