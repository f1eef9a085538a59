//! Prints how fast questions are answered, beside SQLite, in turns, as ratios of one run: without an index and by one; how
//! long an index takes to be built, also beside a writer; and what indexes, and scans of another tenant, cost merges.
//!
//! ```text
//! cargo run --release -p meldb-bench --features peers --example queries [DOCUMENTS]
//! ```
//!
//! 100,000 documents of 1 KB, or as many as are asked for. SQLite has them in a table of id and text, and asks with `json_extract`; both stores are
//! filled before and read from files, with room for all of it in memory.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

mod data;
mod indexed;
mod scans;
mod writes;

use meldb::{Durability, Store};

use crate::data::{Done, fill, fill_sqlite};

const DOCUMENTS: u64 = 100_000;

fn main() -> Done {
    let documents = std::env::args().nth(1).map_or(Ok(DOCUMENTS), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let builder = Store::builder().durability(Durability::Buffered).memory_bytes(1 << 30);
    let store = builder.open(dir.path().join("meldb"))?;
    let users = fill(&store, documents)?;
    let sqlite = fill_sqlite(&dir.path().join("sqlite"), documents)?;
    scans::compare(&users, &sqlite, documents)?;
    indexed::define(&users, &sqlite, documents)?;
    store.checkpoint()?;
    indexed::compare(&users, &sqlite, documents)?;
    let builder = Store::builder().durability(Durability::Buffered);
    let store = builder.open(dir.path().join("writes"))?;
    writes::compare(&store)?;
    writes::beside_scans(&store)
}
