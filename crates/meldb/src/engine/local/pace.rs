//! How fast writers may go while a checkpoint is being written, and when one is due.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::engine::{EngineError, EngineErrorKind, EngineStats};

/// What the tables are taken to write in a second before it was measured.
const BYTES_PER_SECOND_FIRST: u64 = 100 << 20;
/// A pause shorter than this is added to the next one.
const PAUSE_MIN: Duration = Duration::from_micros(200);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// How many times as much as makes a checkpoint due may be logged while one is being written.
const LOG_SHARES_MAX: u64 = 4;
/// How long a writer waits for room before it asks again whether there will be any.
const ROOM_POLL: Duration = Duration::from_millis(100);

/// The sizes that decide when a checkpoint is due, and what is known of the one that is being made.
pub(super) struct Pace {
    /// A checkpoint is due when the active half takes so much; with twice as much, writers wait.
    pub(super) map_bytes_max: usize,
    /// A checkpoint is due when so much was logged since the last one began.
    pub(super) log_bytes_max: u64,
    active_bytes: AtomicUsize,
    logged_bytes: AtomicU64,
    is_frozen: AtomicBool,
    bytes_per_second: AtomicU64,
    /// How long writers should have paused by now, in nanoseconds.
    owed_ns: AtomicU64,
    is_due: AtomicBool,
    /// Writes since the store was opened, to tell when they rest.
    writes: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Why the last checkpoint failed, if it did.
    failure: Option<EngineError>,
    checkpoints: u64,
    last: Option<Instant>,
    duration: Duration,
    duration_max: Duration,
}

impl Pace {
    pub(super) fn new(map_bytes_max: usize, log_bytes_max: u64) -> Self {
        Self {
            map_bytes_max,
            log_bytes_max,
            active_bytes: AtomicUsize::new(0),
            logged_bytes: AtomicU64::new(0),
            is_frozen: AtomicBool::new(false),
            bytes_per_second: AtomicU64::new(BYTES_PER_SECOND_FIRST),
            owed_ns: AtomicU64::new(0),
            is_due: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Notes a write, and returns whether a checkpoint has come due by it.
    pub(super) fn note_write(&self, active_bytes: usize, logged_bytes: u64) -> bool {
        self.active_bytes.store(active_bytes, Ordering::Relaxed);
        self.logged_bytes.store(logged_bytes, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        let is_full = active_bytes >= self.map_bytes_max || logged_bytes >= self.log_bytes_max;
        is_full
            && !self.is_frozen.load(Ordering::Relaxed)
            && !self.is_due.swap(true, Ordering::Relaxed)
    }

    /// Returns how many writes there were.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn set_frozen(&self, is_frozen: bool) {
        self.is_frozen.store(is_frozen, Ordering::Relaxed);
        self.is_due.store(false, Ordering::Relaxed);
        if is_frozen {
            self.active_bytes.store(0, Ordering::Relaxed);
            self.logged_bytes.store(0, Ordering::Relaxed);
        }
        self.changed.notify_all();
    }

    /// Returns how long a writer should pause that has added `grown` bytes to the active half.
    ///
    /// While the frozen half is being written, writers add no more than is written once the active
    /// half is three quarters full, and half of that when it is full.
    pub(super) fn pause(&self, grown: usize) -> Option<Duration> {
        if grown == 0 || !self.is_frozen.load(Ordering::Relaxed) {
            return None;
        }
        let fill = self.active_bytes.load(Ordering::Relaxed) as f64 / self.map_bytes_max as f64;
        let share = (4.0 * (fill - 0.5)).max(0.0);
        let rate = self.bytes_per_second.load(Ordering::Relaxed).max(1) as f64;
        let pause_ns = (grown as f64 / rate * share * 1e9) as u64;
        let owed_ns = self.owed_ns.fetch_add(pause_ns, Ordering::Relaxed) + pause_ns;
        let pause = Duration::from_nanos(owed_ns).min(PAUSE_MAX);
        if pause < PAUSE_MIN {
            return None;
        }
        self.owed_ns.store(0, Ordering::Relaxed);
        Some(pause)
    }

    /// Waits until the active half and the log have room.
    ///
    /// # Errors
    /// They have none, and checkpoints fail: the cause.
    pub(super) fn wait_for_room(&self) -> Result<(), EngineError> {
        let has_room = || {
            !self.is_frozen.load(Ordering::Relaxed)
                || (self.active_bytes.load(Ordering::Relaxed) / 2 < self.map_bytes_max
                    && self.logged_bytes.load(Ordering::Relaxed) / LOG_SHARES_MAX
                        < self.log_bytes_max)
        };
        if has_room() {
            return Ok(());
        }
        let mut state = self.state.lock();
        while !has_room() {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            self.changed.wait_for(&mut state, ROOM_POLL);
        }
        Ok(())
    }

    /// Notes that a checkpoint was made of a half of `bytes`.
    pub(super) fn note_checkpoint(&self, bytes: usize, took: Duration) {
        const WORTH_MEASURING_BYTES: usize = 1 << 20;
        if bytes >= WORTH_MEASURING_BYTES {
            let rate = bytes as f64 / took.as_secs_f64().max(1e-6);
            self.bytes_per_second.store(rate as u64, Ordering::Relaxed);
        }
        let mut state = self.state.lock();
        state.failure = None;
        state.checkpoints += 1;
        state.last = Some(Instant::now());
        state.duration = took;
        state.duration_max = took.max(state.duration_max);
    }

    /// Notes that a checkpoint failed.
    pub(super) fn note_failure(&self, cause: EngineError) {
        self.state.lock().failure = Some(cause);
        self.is_due.store(false, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Returns what is known of checkpoints.
    pub(super) fn stats(&self) -> EngineStats {
        let state = self.state.lock();
        EngineStats {
            checkpoints: state.checkpoints,
            checkpoint_age: state.last.map(|last| last.elapsed()),
            checkpoint_duration: state.duration,
            checkpoint_duration_max: state.duration_max,
            checkpoint_failure: state.failure.clone(),
            ..EngineStats::default()
        }
    }
}

/// Returns whether a failure is one that lasts until there is space.
pub(super) fn is_full(cause: &EngineError) -> bool {
    cause.kind() == EngineErrorKind::StorageFull
}
