//! Running kept inputs again; compiled into the test of each package that has targets.

#![allow(clippy::print_stderr, reason = "it names the input that fails")]

use std::{fs, path::Path};

/// A target: its name, and what it does with bytes.
type Target = (&'static str, fn(&[u8]));

/// Checks every file in the directory of each target below `corpus`.
pub fn replay(corpus: &Path, targets: &[Target]) {
    for (name, check) in targets {
        let inputs = fs::read_dir(corpus.join(name));
        let inputs = inputs.unwrap_or_else(|error| panic!("{name}: {error}"));
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
