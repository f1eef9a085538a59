//! What the fuzzer found worth keeping is run again: inputs that between them reach all that it has
//! reached.

mod replay;

use std::path::{Path, PathBuf};

use meldb_fuzz::TARGETS;

#[test]
fn every_kept_input_holds() {
    replay::replay(&corpus(), &TARGETS);
}

#[test]
fn what_is_made_from_kept_inputs_holds() {
    replay::vary(&corpus(), &TARGETS);
}

#[test]
#[should_panic(expected = "planted")]
fn a_planted_bug_is_found() {
    replay::vary(&corpus(), &[("keys", |bytes| assert!(bytes.get(2) != Some(&0xa7), "planted"))]);
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}
