//! Running checks one after the other.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{
    check::{Check, Done, Run, Unavailable, Verdict},
    reporter::Reporter,
};

/// Runs checks.
pub(super) struct Runner {
    factor: u64,
    reporter: Reporter,
}

impl Runner {
    /// Returns one that makes `factor` times as many rounds as the short form has, and ends its checks
    /// when the flag is set.
    pub(super) fn new(factor: u64, interrupted: Arc<AtomicBool>) -> Self {
        Self { factor, reporter: Reporter::new(interrupted) }
    }

    /// Runs a check, which may panic; `place` says which one it is.
    pub(super) fn run(&self, check: &Check, place: &str) -> Done {
        if self.reporter.is_interrupted() {
            return Done { verdict: Verdict::Interrupted, took: Duration::ZERO };
        }
        let started = Instant::now();
        let verdict = self.verdict(check, place);
        let took = started.elapsed();
        let result = match &verdict {
            Verdict::Passed(tally) => format!(
                "passed, {} rounds, {} faults, {:.0} s",
                tally.rounds,
                tally.faults,
                took.as_secs_f64()
            ),
            Verdict::Failed(why) => format!("FAILED: {why}"),
            Verdict::Missing(why) => format!("MISSING: {why}"),
            Verdict::Interrupted => "interrupted".to_owned(),
        };
        eprintln!("{place}: {}: {result}", check.name);
        Done { verdict, took }
    }

    fn verdict(&self, check: &Check, place: &str) -> Verdict {
        let missing: Vec<_> = check.missing().map(|need| need.to_string()).collect();
        if !missing.is_empty() {
            return Verdict::Missing(format!("it needs {}", missing.join(", ")));
        }
        self.reporter.begin(format!("{place}: {}", check.name));
        let run = || Run::new(self.factor, &self.reporter).and_then(|run| (check.run)(&run));
        let ended = panic::catch_unwind(AssertUnwindSafe(run));
        if self.reporter.is_interrupted() {
            // What a check says that was cut short says nothing.
            return Verdict::Interrupted;
        }
        match ended {
            Ok(Ok(tally)) => Verdict::Passed(tally),
            Ok(Err(error)) if error.is::<Unavailable>() => Verdict::Missing(error.to_string()),
            Ok(Err(error)) => Verdict::Failed(format!("{error:#}")),
            Err(panic) => Verdict::Failed(message(&*panic)),
        }
    }
}

/// Returns what a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a message"))
}
