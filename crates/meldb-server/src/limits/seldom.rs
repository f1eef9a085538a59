//! Log lines that a client could cause by the thousand.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one event in an interval be logged, and counts those between.
#[derive(Debug)]
pub(crate) struct Seldom {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logged: Option<Instant>,
    /// Events since then.
    silent: u64,
}

impl Seldom {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// Notes an event. Returns how many there were since the last that was logged, this one
    /// included, if it is to be logged.
    pub(crate) fn note(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.silent += 1;
        let now = Instant::now();
        if state.logged.is_some_and(|logged| now < logged + self.interval) {
            return None;
        }
        state.logged = Some(now);
        Some(std::mem::take(&mut state.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_event_of_an_interval_is_logged_with_the_count_of_the_others() {
        let seldom = Seldom::new(Duration::from_secs(10));
        assert_eq!(seldom.note(), Some(1));
        for _ in 0..5 {
            assert_eq!(seldom.note(), None);
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(seldom.note(), Some(6));
        assert_eq!(seldom.note(), None);
    }
}
