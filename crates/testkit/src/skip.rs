//! Saying that a test was skipped, so that nobody takes it for one that has passed.

use std::{fmt::Display, io::Write};

/// Prints that `what` was skipped and why, also where the test runner keeps the output back.
pub fn skip(what: impl Display, reason: impl Display) {
    // If standard error is closed, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {reason}");
}
