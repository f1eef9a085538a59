//! What the fuzzer found worth keeping is run again: inputs that between them reach all that it has
//! reached.

mod replay;

use std::path::Path;

use meldb_fuzz::TARGETS;

#[test]
fn every_kept_input_holds() {
    replay::replay(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"), &TARGETS);
}
