//! What the adapter and its server do, over real stores.
//!
//! One program, because each one links everything that it uses.

mod admin;
mod authorisation;
mod authorisation_matrix;
mod backups;
mod batches;
mod bulk_writes;
mod changes;
mod clock_reset;
mod connections;
mod contract;
mod cors;
mod errors;
mod failed_calls;
mod history;
mod idempotency;
mod keys;
mod limits;
mod lists;
mod local_operator;
mod near_misses;
mod negotiation;
mod open_answers;
mod openapi;
mod operation;
mod outcomes;
mod paths;
mod queries;
mod report;
mod server;
mod statuses;
mod support;
mod tls;
mod transport;
mod write_only;

/// A file that no `mod` names would not be compiled, and nobody would miss its tests.
#[test]
fn every_file_of_tests_is_run() {
    let own = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in std::fs::read_dir(dir).expect("the directory can be read") {
        let name = file.expect("the directory can be read").file_name();
        let name = name.to_string_lossy();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        let is_run = ["main", "linearizable", "logs"].contains(&module)
            || own.contains(&format!("mod {module};"));
        assert!(is_run, "tests/{name} is not a module of tests/main.rs");
    }
}
