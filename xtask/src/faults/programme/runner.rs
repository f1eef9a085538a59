//! Running checks one after the other, and saying how far they have come.

use std::{
    any::Any,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::check::{Check, Done, Run, Unavailable, Verdict};

/// How often a check says how far it has come.
const EVERY: Duration = Duration::from_secs(10);

/// Runs checks.
pub(super) struct Runner {
    factor: u64,
    reporter: Reporter,
}

/// Prints how far a check has come, and knows whether it has to end.
pub(super) struct Reporter {
    interrupted: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    what: String,
    told: Instant,
}

impl Runner {
    /// Returns one that makes `factor` times as many rounds as the short form has, and ends its checks
    /// when the flag is set.
    pub(super) fn new(factor: u64, interrupted: Arc<AtomicBool>) -> Self {
        let state = Mutex::new(State { what: String::new(), told: Instant::now() });
        Self { factor, reporter: Reporter { interrupted, state } }
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

impl Reporter {
    fn begin(&self, what: String) {
        eprintln!("{what}");
        *self.lock() = State { what, told: Instant::now() };
    }

    /// Says how far the check has come if it has not for a while; breaks if it has to end.
    pub(super) fn tell(&self, done: u64, of: u64) -> ControlFlow<()> {
        let mut state = self.lock();
        if state.told.elapsed() >= EVERY {
            state.told = Instant::now();
            eprintln!("{}: {done} of {of}", state.what);
        }
        match self.is_interrupted() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a message"))
}
