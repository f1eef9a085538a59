//! The files that records will go to: grown ahead of need, and used again.
//!
//! A file is prepared before records go to it: written whole with zeros and synced if it is new, and
//! given a header with a number of its own, which is synced too. Only that needs space, a file
//! descriptor, or the names of the directory; appending needs none. What fails here is over when its
//! cause is, and the log goes on.
//!
//! A file that is used again keeps its name and its contents: the number in its header is another,
//! and the old records do not check under it. So there is no rename, and nothing that a crash could
//! leave half done: a header is the old one or the new one.

use std::{collections::BTreeSet, sync::Arc, thread, time::Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    AppendError, LogSettings,
    files::{Access, LogDir, write_all_at},
    header::{Header, RECORDS_AT},
    ledger::{Handles, Ledger},
    new_file::{check_place, create_file, file_name},
    space::SpaceWatch,
};
use crate::{
    engine::{EngineError, EngineErrorKind},
    store_id::StoreId,
};

/// A file that no record is needed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spare {
    pub(super) name: String,
    pub(super) file_bytes: u64,
}

/// A file that records can go to.
pub(super) struct Ready {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) handles: Handles,
}

/// See the module.
pub(super) struct Pool {
    dir: Arc<dyn LogDir>,
    store: StoreId,
    settings: LogSettings,
    ledger: Arc<Ledger>,
    space: SpaceWatch,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: Option<Ready>,
    spares: Vec<Spare>,
    /// The names of all files, in use or not.
    names: BTreeSet<String>,
    next_number: u64,
    /// The number of the file that records go to.
    current: u64,
    /// How long the next file that is created will be.
    create_bytes: u64,
    /// Somebody prepares a file, or removes some.
    is_busy: bool,
    /// The last preparation failed, and when.
    failure: Option<(AppendError, Instant)>,
    is_stopped: bool,
}

/// What a pool begins with.
pub(super) struct Stock {
    pub(super) spares: Vec<Spare>,
    pub(super) names: BTreeSet<String>,
    pub(super) next_number: u64,
    pub(super) current: u64,
    pub(super) largest_bytes: u64,
}

/// What to prepare, decided under the lock.
enum Plan {
    Reuse(Spare),
    Create { name: String, file_bytes: u64 },
}

impl Pool {
    pub(super) fn new(
        dir: Arc<dyn LogDir>,
        store: StoreId,
        settings: LogSettings,
        ledger: Arc<Ledger>,
        stock: Stock,
    ) -> Arc<Self> {
        let create_bytes = match stock.largest_bytes {
            0 => settings.file_bytes_first,
            largest => settings.next_bytes(largest),
        };
        let state = State {
            ready: None,
            spares: stock.spares,
            names: stock.names,
            next_number: stock.next_number,
            current: stock.current,
            create_bytes,
            is_busy: false,
            failure: None,
            is_stopped: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let space = SpaceWatch::new(settings.reserve_bytes, settings.retry_pause / 10);
        Arc::new(Self { dir, store, settings, ledger, space, state, changed })
    }

    /// Returns a file of at least `bytes_min`, once it is prepared.
    ///
    /// # Errors
    /// Preparing it failed.
    pub(super) fn take(&self, bytes_min: u64) -> Result<Ready, AppendError> {
        let mut state = self.wait_until_idle();
        let fits = |ready: &mut Ready| ready.header.file_bytes >= bytes_min;
        let ready = match state.ready.take_if(fits) {
            Some(ready) => ready,
            None => {
                if let Some((error, at)) = &state.failure
                    && at.elapsed() < self.settings.retry_pause / 10
                {
                    return Err(error.clone());
                }
                state.is_busy = true;
                drop(state);
                self.prepare(bytes_min, u64::MAX);
                state = self.wait_until_idle();
                match (state.ready.take(), &state.failure) {
                    (Some(ready), _) => ready,
                    (None, Some((error, _))) => return Err(error.clone()),
                    (None, None) => return Err(AppendError::Failed(super::ledger::closed())),
                }
            }
        };
        state.current = ready.header.number;
        Ok(ready)
    }

    /// Has the next file prepared in the background, unless there is one.
    pub(super) fn prepare_ahead(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let failed = |state: &State| {
            let pause = self.settings.retry_pause;
            state.failure.as_ref().is_some_and(|(_, at)| at.elapsed() < pause)
        };
        if state.is_busy || state.ready.is_some() || state.is_stopped || failed(&state) {
            return;
        }
        state.is_busy = true;
        drop(state);
        if !self.settings.in_background {
            return self.prepare(0, u64::MAX);
        }
        let pool = Arc::clone(self);
        let run = move || pool.prepare(0, u64::MAX);
        if let Err(error) = thread::Builder::new().name("meldb-log".to_owned()).spawn(run) {
            // The appender prepares the file when it needs it.
            self.done(|state| state.failure = Some((refused(error), Instant::now())));
        }
    }

    /// Returns why there should be no more files, if space is short.
    pub(super) fn shortage(self: &Arc<Self>) -> Option<EngineError> {
        let unprepared = match &self.state.lock().failure {
            Some((AppendError::Refused(error), _)) => {
                Some(error.clone()).filter(|error| error.kind() == EngineErrorKind::StorageFull)
            }
            _ => None,
        };
        if unprepared.is_some() {
            // While nothing is appended, nobody else does.
            self.prepare_ahead();
        }
        unprepared.or_else(|| self.space.shortage(&*self.dir))
    }

    /// Returns how much can be written to the file system, in bytes.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        Some(self.dir.space().ok()??.free_bytes)
    }

    /// Takes back files that are in use no more. They are kept as long as they are not longer
    /// together than one file may be, and removed otherwise.
    pub(super) fn put_back(&self, spares: impl IntoIterator<Item = Spare>) {
        let mut state = self.wait_until_idle();
        state.spares.extend(spares);
        state.spares.sort_by_key(|spare| std::cmp::Reverse(spare.file_bytes));
        let mut kept_bytes = 0;
        let bytes_max = self.settings.file_bytes_max;
        let is_excess = |spare: &mut Spare| {
            let fits = kept_bytes + spare.file_bytes <= bytes_max;
            kept_bytes += if fits { spare.file_bytes } else { 0 };
            !fits
        };
        let excess: Vec<_> = state.spares.extract_if(.., is_excess).collect();
        self.remove(state, excess);
    }

    /// Gives the space of all files back but for a small one that is ready.
    pub(super) fn shrink(&self) {
        let mut state = self.wait_until_idle();
        let small = self.settings.file_bytes_first..=2 * self.settings.file_bytes_first;
        let is_small = |ready: &Ready| small.contains(&ready.header.file_bytes);
        let is_small = state.spares.is_empty() && state.ready.as_ref().is_none_or(is_small);
        if is_small || state.is_stopped {
            return;
        }
        state.retire_ready();
        state.create_bytes = self.settings.file_bytes_first;
        state.is_busy = true;
        drop(state);
        // IMPORTANT: before the others are removed. Its number is the highest then, and the numbers
        // of those that go are not given again.
        self.prepare(*small.start(), *small.end());
        let mut state = self.wait_until_idle();
        if state.ready.is_some() {
            let excess = std::mem::take(&mut state.spares);
            self.remove(state, excess);
        }
    }

    /// Removes all files that are in use no more, and makes a new one: none of those that are left holds anything old.
    ///
    /// # Errors
    /// The new file cannot be made; nothing was removed.
    pub(super) fn renew(&self) -> Result<(), AppendError> {
        let mut state = self.wait_until_idle();
        state.retire_ready();
        let old = std::mem::take(&mut state.spares);
        state.create_bytes = self.settings.file_bytes_first;
        state.is_busy = true;
        drop(state);
        // Before the others are removed, as in `shrink`.
        self.prepare(self.settings.file_bytes_first, u64::MAX);
        let mut state = self.wait_until_idle();
        match &state.failure {
            Some((error, _)) if state.ready.is_none() => {
                let error = error.clone();
                state.spares.extend(old);
                Err(error)
            }
            _ => {
                self.remove(state, old);
                Ok(())
            }
        }
    }

    /// Ends what the background does, and waits for that. No file is prepared ahead any more.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopped = true;
        drop(self.wait_until_idle());
    }

    /// Returns the highest number that any file has.
    pub(super) fn last_number(&self) -> u64 {
        self.state.lock().next_number - 1
    }

    /// Returns how many files are not in use, and how long they are together.
    pub(super) fn stats(&self) -> (usize, u64) {
        let state = self.state.lock();
        let ready = state.ready.iter().map(|ready| ready.header.file_bytes);
        let bytes = ready.chain(state.spares.iter().map(|spare| spare.file_bytes)).sum();
        (state.spares.len() + usize::from(state.ready.is_some()), bytes)
    }

    fn wait_until_idle(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while state.is_busy {
            self.changed.wait(&mut state);
        }
        state
    }

    fn done(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        state.is_busy = false;
        self.changed.notify_all();
    }

    /// Prepares a file of a length in a range; the caller has said that the pool is busy.
    fn prepare(&self, bytes_min: u64, bytes_max: u64) {
        let (plan, header) = self.plan(bytes_min, bytes_max);
        let prepared = match &plan {
            Plan::Reuse(spare) => self.reuse(spare, header),
            Plan::Create { name, file_bytes } => {
                let created = self.create(name, Header { file_bytes: *file_bytes, ..header });
                let least = bytes_min.max(self.settings.file_bytes_first);
                match created {
                    Err(AppendError::Refused(error))
                        if error.kind() == EngineErrorKind::StorageFull && *file_bytes > least =>
                    {
                        let file_bytes = least.next_multiple_of(RECORDS_AT);
                        self.create(name, Header { file_bytes, ..header })
                    }
                    created => created,
                }
            }
        };
        self.done(|state| match prepared {
            Ok(ready) => {
                if let Plan::Create { .. } = plan {
                    state.create_bytes = self.settings.next_bytes(ready.header.file_bytes);
                }
                state.failure = None;
                state.ready = Some(ready);
            }
            Err(error) => {
                match plan {
                    Plan::Reuse(spare) => state.spares.push(spare),
                    Plan::Create { name, .. } => state.names.retain(|used| *used != name),
                }
                state.failure = Some((error, Instant::now()));
            }
        });
    }

    /// Decides what to prepare: the largest spare file that fits, or a new one.
    fn plan(&self, bytes_min: u64, bytes_max: u64) -> (Plan, Header) {
        let mut state = self.state.lock();
        state.retire_ready();
        let fitting = state.spares.iter().enumerate();
        let fitting =
            fitting.filter(|(_, spare)| (bytes_min..=bytes_max).contains(&spare.file_bytes));
        let largest = fitting.max_by_key(|(_, spare)| spare.file_bytes).map(|(index, _)| index);
        let plan = match largest {
            Some(index) => Plan::Reuse(state.spares.swap_remove(index)),
            None => {
                let name = state.unused_name();
                state.names.insert(name.clone());
                let file_bytes = state.create_bytes.max(bytes_min).next_multiple_of(RECORDS_AT);
                Plan::Create { name, file_bytes }
            }
        };
        let number = state.next_number;
        // Whatever becomes of it: the header may reach the disk.
        state.next_number += 1;
        let file_bytes = match &plan {
            Plan::Reuse(spare) => spare.file_bytes,
            Plan::Create { file_bytes, .. } => *file_bytes,
        };
        let (store, previous, synced) = (self.store, state.current, self.ledger.synced());
        (plan, Header { store, number, previous, file_bytes, synced })
    }

    fn reuse(&self, spare: &Spare, header: Header) -> Result<Ready, AppendError> {
        self.check_place_to_grow()?;
        let appender = self.dir.open(&spare.name, Access::Write).map_err(refused)?;
        let background = self.dir.open(&spare.name, Access::Write).map_err(refused)?;
        write_all_at(&*appender, &header.encode(), 0).map_err(refused)?;
        appender.sync_data().map_err(refused)?;
        Ok(Ready { name: spare.name.clone(), header, handles: Handles { appender, background } })
    }

    fn create(&self, name: &str, header: Header) -> Result<Ready, AppendError> {
        self.check_place_to_grow()?;
        let stopped = || self.state.lock().is_stopped;
        let handles = create_file(&*self.dir, name, &header, stopped).map_err(refused)?;
        Ok(Ready { name: name.to_owned(), header, handles })
    }

    /// Makes sure that the log is where it was opened.
    pub(super) fn check_place(&self) -> Result<(), EngineError> {
        check_place(&*self.dir)
    }

    /// The same before something is made by path. A log that was moved has ended.
    fn check_place_to_grow(&self) -> Result<(), AppendError> {
        self.check_place().map_err(|error| match error.kind() {
            EngineErrorKind::Displaced => AppendError::Displaced(self.ledger.fail(error)),
            _ => AppendError::Refused(error),
        })
    }

    /// Removes files; those that cannot be removed are spare files still.
    fn remove(&self, mut state: MutexGuard<'_, State>, spares: Vec<Spare>) {
        if spares.is_empty() {
            return;
        }
        state.is_busy = true;
        drop(state);
        let mut kept = Vec::new();
        let mut removed = Vec::new();
        for spare in spares {
            let done = check_place(&*self.dir)
                .and_then(|()| self.dir.remove(&spare.name).map_err(EngineError::from));
            match done {
                Ok(()) => removed.push(spare.name),
                Err(error) => {
                    tracing::warn!(%error, file = spare.name, "a spare log file was not removed");
                    kept.push(spare);
                }
            }
        }
        self.done(|state| {
            state.names.retain(|name| !removed.contains(name));
            state.spares.extend(kept);
        });
    }
}

impl State {
    /// Makes a spare file of the one that is ready, if there is one.
    fn retire_ready(&mut self) {
        if let Some(Ready { name, header, .. }) = self.ready.take() {
            self.spares.push(Spare { name, file_bytes: header.file_bytes });
        }
    }

    fn unused_name(&self) -> String {
        let mut slots = 1_u64..;
        let unused = slots.find_map(|slot| {
            let name = file_name(slot);
            (!self.names.contains(&name)).then_some(name)
        });
        unused.unwrap_or_default()
    }
}

fn refused(error: std::io::Error) -> AppendError {
    AppendError::Refused(EngineError::from(error).described("the log cannot grow"))
}

impl LogSettings {
    /// Returns how long a file is that is created after one of `bytes`.
    fn next_bytes(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(2).clamp(self.file_bytes_first, self.file_bytes_max)
    }
}
