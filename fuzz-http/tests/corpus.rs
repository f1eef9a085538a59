//! What the fuzzer found worth keeping is run again: inputs that between them reach all that it has
//! reached.

#![allow(clippy::print_stderr, reason = "it names the input that fails")]

use std::{fs, path::Path};

use meldb_fuzz_http::TARGETS;

#[test]
fn every_kept_input_holds() {
    for (name, check) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let inputs = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut count = 0;
        for input in inputs {
            let path = input.expect("the directory can be read").path();
            let bytes = fs::read(&path).expect("a file");
            if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
                eprintln!("{} fails", path.display());
                std::panic::resume_unwind(panic);
            }
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}
