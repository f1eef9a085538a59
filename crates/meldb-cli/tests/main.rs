//! The program as its users meet it: every test runs the built binary.
//!
//! One program, because each one links everything that it uses.

mod abuse_filters;
mod abuse_memory;
mod cli;
mod json_suite;
mod process;

/// A file that no `mod` names would not be compiled, and nobody would miss its tests.
#[test]
fn every_file_of_tests_is_run() {
    let own = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in std::fs::read_dir(dir).expect("the directory can be read") {
        let name = file.expect("the directory can be read").file_name();
        let name = name.to_string_lossy();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        let is_run = ["main", "abuse", "hostile", "shutdown"].contains(&module)
            || own.contains(&format!("mod {module};"));
        assert!(is_run, "tests/{name} is not a module of tests/main.rs");
    }
}
