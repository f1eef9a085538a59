//! Saying that a test was skipped, so that nobody takes it for one that has passed.

use std::fmt::Display;

use crate::say::say;

/// Prints that `what` was skipped and why, also where the test runner keeps the output back.
pub fn skip(what: impl Display, reason: impl Display) {
    say(format_args!("SKIPPED: {what}: {reason}"));
}
