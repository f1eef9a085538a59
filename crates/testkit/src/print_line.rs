//! Printing a line that is seen also when the test passes.

use std::{fmt::Display, io::Write};

/// Prints a line, also where the test runner keeps the output back.
pub fn print_line(line: impl Display) {
    // Not by `eprintln!`, which the runner keeps back. If standard error is closed, there is nobody
    // to tell.
    writeln!(std::io::stderr(), "{line}").ok();
}
