//! What every engine and the store on it have to do.
//!
//! One program, because each one links everything that it uses.

mod changes;
mod compacting;
mod concurrency;
mod failure;
mod fairness;
mod faulty;
mod feed;
mod find;
mod fixtures;
mod housekeeping;
mod identity;
mod indexes;
mod limits;
mod member_conditions;
mod model;
mod observer;
mod occupied;
mod postgres;
mod postgres_faults;
mod postgres_history;
mod postgres_shards;
mod read_only;
mod rfc7396;
mod space;
mod store;

/// A file that no `mod` names would not be compiled, and nobody would miss its tests.
#[test]
fn every_file_of_tests_is_run() {
    let own = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in std::fs::read_dir(dir).expect("the directory can be read") {
        let name = file.expect("the directory can be read").file_name();
        let name = name.to_string_lossy();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        let is_run = ["main", "linearizable", "waiting_writer"].contains(&module)
            || own.contains(&format!("mod {module};"));
        assert!(is_run, "tests/{name} is not a module of tests/main.rs");
    }
}
