//! The end of `cargo test --workspace`: how many tests of the run were skipped, and why.
//!
//! cargo runs packages in the order of their names, so that this is the last test target, and only the
//! documentation's examples come after it. With `MELDB_SKIP_NOTHING` set a skipped test is a failure.

#![allow(clippy::print_stdout, reason = "it is what the run ends with")]

use std::{env, process::ExitCode};

use meldb_testkit::skip::Ledger;

fn main() -> ExitCode {
    let closed = Ledger::of_this_run().and_then(Ledger::close);
    let (skipped, summary) = match closed {
        Ok(closed) => closed,
        Err(error) => {
            println!("it is not known which tests were skipped: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{summary}");
    match skipped > 0 && env::var_os("MELDB_SKIP_NOTHING").is_some() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
