//! The thread that makes checkpoints: when one is due, and when writers have rested for a while.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Shared;
use crate::types::with_causes;

/// How often it is checked whether writers rest.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often a thread that is to end is asked whether it compacts the tables by now.
const END_POLL: Duration = Duration::from_millis(10);
/// How often an index that could not be built is tried again.
const INDEX_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long a failed checkpoint is not tried again at first, and at last.
const BACK_OFF_MIN: Duration = Duration::from_millis(250);
const BACK_OFF_MAX: Duration = Duration::from_secs(4);

/// The thread.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    /// Disconnected when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Checkpointer {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel();
        let run = {
            let (shared, stop) = (Arc::clone(shared), Arc::clone(&stop));
            move || {
                let _disconnects: mpsc::Sender<()> = end;
                run(&shared, &stop);
                // Before the end is known: whoever waits for it has the last one then.
                drop(shared);
            }
        };
        thread::Builder::new().name("meldb-checkpoint".to_owned()).spawn(run)?;
        Ok(Self { shared: Arc::clone(shared), stop, ended: Mutex::new(ended) })
    }

    /// Ends the thread, and returns whether it has ended: it may be compacting the tables for longer than `patience`.
    pub(super) fn stop(self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake.request();
        let end = self.ended.into_inner();
        let mut ended = end.recv_timeout(patience);
        while ended == Err(RecvTimeoutError::Timeout)
            && !self.shared.is_reclaiming.load(Ordering::Acquire)
        {
            ended = end.recv_timeout(END_POLL);
        }
        self.shared.stop.store(false, Ordering::Release);
        ended == Err(RecvTimeoutError::Disconnected)
    }
}

fn run(shared: &Shared, stop: &AtomicBool) {
    let (mut writes_seen, mut back_off) = (shared.pace.writes(), None::<Duration>);
    // There may be something to give back since the last checkpoint.
    let mut is_untidy = true;
    let (mut checked, mut retried) = (Instant::now(), Instant::now());
    loop {
        if retried.elapsed() > INDEX_RETRY_INTERVAL {
            retried = Instant::now();
            shared.retry_indexes();
        }
        let is_building = back_off.is_none() && shared.indexes.are_unfinished();
        let patience = back_off.unwrap_or(IDLE_CHECK_INTERVAL);
        let patience = if is_building { Duration::ZERO } else { patience };
        let is_wanted = shared.wake.wait(patience);
        if stop.load(Ordering::Acquire) {
            return;
        }
        if is_building {
            match shared.build_indexes() {
                Ok(is_done) => is_untidy |= is_done,
                Err(_) if stop.load(Ordering::Acquire) => return,
                Err(cause) => {
                    tracing::warn!(cause = %with_causes(&cause), "an index could not be written");
                    thread::sleep(BACK_OFF_MIN);
                }
            }
            if !is_wanted && checked.elapsed() < IDLE_CHECK_INTERVAL {
                continue;
            }
        }
        checked = Instant::now();
        let writes = shared.pace.writes();
        let rests = writes == writes_seen;
        writes_seen = writes;
        if !is_wanted && !rests && back_off.is_none() {
            continue;
        }
        match shared.checkpoint() {
            Ok(is_made) => {
                back_off = None;
                is_untidy |= is_made;
                if is_untidy && rests && !is_made {
                    // A failure shows when the tables are written again.
                    is_untidy = shared.reclaim().unwrap_or(false);
                }
            }
            Err(_) if stop.load(Ordering::Acquire) => return,
            Err(cause) => {
                tracing::warn!(cause = %with_causes(&cause), "a checkpoint failed and will be tried again");
                shared.pace.note_failure(cause);
                let next = back_off.map_or(BACK_OFF_MIN, |last| last * 2);
                back_off = Some(next.min(BACK_OFF_MAX));
            }
        }
    }
}
