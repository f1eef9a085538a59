//! Saying how far a check has come.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a check says how far it has come.
const EVERY: Duration = Duration::from_secs(10);

/// Prints how far a check has come, and knows whether it has to end.
pub(super) struct Reporter {
    interrupted: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    what: String,
    told: Instant,
}

impl Reporter {
    pub(super) fn new(interrupted: Arc<AtomicBool>) -> Self {
        let state = Mutex::new(State { what: String::new(), told: Instant::now() });
        Self { interrupted, state }
    }

    pub(super) fn begin(&self, what: String) {
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
