//! The planted bug: writes are acknowledged before the engine has them.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use meldb::{
    Error,
    engine::{Engine, EngineError, ReadAhead},
    memory_engine,
};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::mirror::{Behind, Write, copy, mirror};

/// Returns `inner`, which nobody else writes to, with a bug in it: a write is acknowledged at once, synced or not,
/// is held in the process's memory, and reaches `inner` only `delay` later.
///
/// Nobody notices as long as the process lives, because reads are answered from memory, and a close writes what
/// is held. This is the bug that a crash test has to find.
///
/// # Errors
/// What `inner` holds cannot be read.
pub fn acknowledging_early(
    inner: Arc<dyn Engine>,
    delay: Duration,
) -> Result<Arc<dyn Engine>, Error> {
    let front = memory_engine();
    copy(&*inner, &*front)?;
    Ok(mirror(front, Early::new(inner, delay)))
}

/// An engine that is always a little behind what it has promised.
struct Early {
    inner: Arc<dyn Engine>,
    shared: Arc<Shared>,
    late_writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    /// The oldest first.
    writes: VecDeque<(Instant, Write)>,
    closing: bool,
}

impl Early {
    fn new(inner: Arc<dyn Engine>, delay: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let late_writer = thread::spawn({
            let (inner, shared) = (Arc::clone(&inner), Arc::clone(&shared));
            move || write_late(&*inner, &shared, delay)
        });
        Self { inner, shared, late_writer: Some(late_writer) }
    }
}

fn write_late(inner: &dyn Engine, shared: &Shared, delay: Duration) {
    let mut held = shared.held.lock();
    loop {
        let Some((since, _)) = held.writes.front() else {
            if held.closing {
                return;
            }
            shared.changed.wait(&mut held);
            continue;
        };
        let due = *since + delay;
        if !held.closing && Instant::now() < due {
            shared.changed.wait_until(&mut held, due);
            continue;
        }
        if let Some((_, write)) = held.writes.pop_front() {
            MutexGuard::unlocked(&mut held, || make(inner, write));
        }
    }
}

/// Makes a write that was acknowledged long ago: nobody is there to hear of a failure.
fn make(inner: &dyn Engine, write: Write) {
    match write {
        Write::Commit(group, persist, _) => {
            drop(inner.commit(&group, persist, ReadAhead::default()));
        }
        Write::Purge(before_ms, after, tombstones_max) => {
            drop(inner.purge(before_ms, after, tombstones_max));
        }
        Write::Restore(tenant, entries, horizon) => {
            drop(inner.restore(&tenant, &entries, horizon));
        }
        Write::Erase(tenant, step) => drop(inner.erase(&tenant, &step)),
        Write::Sync => drop(inner.sync()),
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.shared.held.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(late_writer) = self.late_writer.take() {
            late_writer.join().ok();
        }
    }
}

impl Behind for Early {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn logs_edits(&self) -> bool {
        self.inner.capabilities().logs_edits
    }

    fn made(&self, _: &dyn Engine, write: Write) -> Result<(), EngineError> {
        self.shared.held.lock().writes.push_back((Instant::now(), write));
        self.shared.changed.notify_all();
        Ok(())
    }
}
