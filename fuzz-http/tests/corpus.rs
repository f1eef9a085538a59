//! What the fuzzer found worth keeping is run again: inputs that between them reach all that it has
//! reached.

#[path = "../../fuzz/tests/replay/mod.rs"]
mod replay;

use std::path::{Path, PathBuf};

use meldb_fuzz_http::TARGETS;

#[test]
fn every_kept_input_holds() {
    replay::replay(&corpus(), &TARGETS);
}

#[test]
fn what_is_made_from_kept_inputs_holds() {
    replay::vary(&corpus(), &TARGETS);
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}
