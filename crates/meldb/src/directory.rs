//! The store's directory: its contents, its lock, and its atomic creation.
//!
//! ```text
//! MELDB        the format file: version, engine, id, when created     directory/format_file.rs
//! lock         empty; locked while a store has the directory open
//! data/        the engine's files: the log, the shutdown marker, the tables
//! MELDB.new    there only while a store is being created
//! ```
//!
//! # Creation is atomic
//!
//! A directory is a store once it holds `MELDB`, and that is the last thing a creation does:
//! lock → `MELDB.new`, empty → `data/`, created by the engine and closed → everything in it synced
//! → the text into `MELDB.new`, synced → renamed to `MELDB` → the directory synced. Cut at any
//! point, it leaves `MELDB.new` and no `MELDB`: the next opening starts over. All of it happens in
//! the directory itself, because that is often a mount point, or the only place where a service
//! may write: a sibling could not be made or not be renamed over it.
//!
//! # Other users of the machine
//!
//! Directories are made with mode 0700 and files with 0600. What is created is created (`O_EXCL`) and never
//! found where a symbolic link leads. A directory that others may enter is warned of.
//!
//! # Races
//!
//! The lock is taken before anything is looked at or made, so two creators cannot meet. The lock
//! is on a file, and the file might have been removed or moved away, directory and all, between
//! opening and locking it; a lock counts only if the path still leads to the file that is locked.
//!
//! # Identity
//!
//! An open store has files open, and finds others by their path. If the directory is moved away, or
//! deleted, or another store is put in its place, these are no longer the same: what is then made by
//! path ends up in somebody else's store. So whoever is about to make or replace a file by its path
//! asks [`Directory::check_identity`] first.

mod closing;
pub(crate) mod files;
mod format_file;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub(crate) use self::closing::Closing;
pub use self::format_file::FORMAT_VERSION;
use self::format_file::FormatFile;
use crate::{
    engine::{EngineError, EngineErrorKind},
    store_id::StoreId,
    types::Error,
};

const FORMAT_FILE: &str = "MELDB";
const UNFINISHED_FORMAT_FILE: &str = "MELDB.new";
const LOCK_FILE: &str = "lock";
const DATA_DIR: &str = "data";
/// Made by `mkfs` in the root of a file system, which is where a store's directory often is.
const LOST_AND_FOUND: &str = "lost+found";

/// How often to start over when the directory is replaced while it is being locked.
const LOCK_ATTEMPTS_MAX: usize = 16;

/// How long a directory may be in use before that is an error: a store that was just dropped may be read from for a
/// moment, by a future that was cancelled, and the files of another process's may still be closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// A store's directory, locked until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    data: PathBuf,
    id: StoreId,
    lock: Lock,
}

/// The lock on a directory.
#[derive(Debug)]
struct Lock {
    file: File,
    /// The process that has taken it.
    process: u32,
}

impl Lock {
    /// Returns whether this process is a fork of the one that has taken the lock.
    fn is_forked(&self) -> bool {
        self.process != process::id()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // IMPORTANT: a fork shares the open file with its parent, whose lock this would end.
        if self.is_forked() {
            return;
        }
        // Closing is not enough: a child process that is being started holds the same open file
        // until it runs its own program, and would keep the lock for that long.
        let _ = self.file.unlock();
    }
}

/// What a path holds.
enum Contents {
    /// Nothing.
    Missing,
    /// A directory where a store may be created: empty, or left by a creation that was cut.
    Vacant,
    /// A store.
    Store,
    /// Something else, and what makes it so.
    Foreign(String),
}

impl Directory {
    /// Opens the store in `path`, which was made with `engine`, or creates it where `path` is
    /// missing or empty.
    ///
    /// `create` makes the engine's files in the empty directory that it is given, with the store's id, and has closed
    /// them when it returns.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAStore`], [`Error::UnsupportedFormat`],
    /// [`Error::WrongEngine`], [`Error::Damaged`] where the format file is, [`Error::Io`], and what
    /// `create` returns.
    pub fn open(
        path: &Path,
        engine: &str,
        create: impl FnOnce(&Path, StoreId) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        Self::open_or(path, engine, Some(create))
    }

    /// Opens the store in `path`, which was made with `engine`; it is never created.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`Error::NotAStore`] if there is no store.
    pub fn open_existing(path: &Path, engine: &str) -> Result<Self, Error> {
        Self::open_or(path, engine, None::<fn(&Path, StoreId) -> Result<(), Error>>)
    }

    /// Opens the store in `path`, which was made with `engine`, to read it: nothing is written there. Others may do
    /// the same at the same time, and nobody may open it to write.
    ///
    /// # Errors
    /// As for [`open_existing`](Self::open_existing).
    pub fn open_read_only(path: &Path, engine: &str) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
        let lock_path = path.join(LOCK_FILE);
        let failed = |error| Error::io("lock", &lock_path, error);
        let file = File::open(&lock_path).map_err(failed)?;
        let Some(lock) = hold(file, &path, File::try_lock_shared)? else {
            let gone = io::Error::new(io::ErrorKind::NotFound, "it was removed or replaced");
            return Err(failed(gone));
        };
        Self::open_locked(path, lock, engine, None::<fn(&Path, StoreId) -> Result<(), Error>>)
    }

    /// Opens the store, or has it created where that is wanted.
    fn open_or(
        path: &Path,
        engine: &str,
        create: Option<impl FnOnce(&Path, StoreId) -> Result<(), Error>>,
    ) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
        for _ in 0..LOCK_ATTEMPTS_MAX {
            // Looked at before it is locked, so that nothing is left in a directory of others.
            match survey(&path)? {
                Contents::Foreign(reason) => return Err(Error::NotAStore { dir: path, reason }),
                Contents::Missing | Contents::Vacant if create.is_none() => {
                    return Err(no_store(path));
                }
                Contents::Missing => files::create_dir_durably(&path)?,
                Contents::Vacant | Contents::Store => {}
            }
            if let Some(lock) = take_lock(&path)? {
                return Self::open_locked(path, lock, engine, create);
            }
        }
        let gone = io::Error::new(io::ErrorKind::NotFound, "it keeps being removed or replaced");
        Err(Error::io("lock", path, gone))
    }

    /// Returns the engine that the store in `path` was made with, or `None` where a store can be
    /// created.
    ///
    /// # Errors
    /// As for [`open`](Self::open); whether the store is in use does not matter.
    pub fn engine_of(path: &Path) -> Result<Option<String>, Error> {
        match survey(path)? {
            Contents::Missing | Contents::Vacant => Ok(None),
            Contents::Store => Ok(Some(FormatFile::read(path, FORMAT_FILE)?.engine)),
            Contents::Foreign(reason) => Err(Error::NotAStore { dir: path.to_owned(), reason }),
        }
    }

    /// As [`engine_of`](Self::engine_of), of a store that must be there.
    pub fn engine_of_existing(path: &Path) -> Result<String, Error> {
        Self::engine_of(path)?.ok_or_else(|| no_store(path.to_owned()))
    }

    fn open_locked(
        path: PathBuf,
        lock: Lock,
        engine: &str,
        create: Option<impl FnOnce(&Path, StoreId) -> Result<(), Error>>,
    ) -> Result<Self, Error> {
        match survey(&path)? {
            Contents::Foreign(reason) => return Err(Error::NotAStore { dir: path, reason }),
            Contents::Missing | Contents::Vacant => match create {
                Some(create) => create_store(&path, engine, create)?,
                None => return Err(no_store(path)),
            },
            Contents::Store => {}
        }
        let FormatFile { engine: found, id, .. } = FormatFile::read(&path, FORMAT_FILE)?;
        if found != engine {
            return Err(Error::WrongEngine { dir: path, found, asked: engine.to_owned() });
        }
        let data = path.join(DATA_DIR);
        if !data.is_dir() {
            let (what, reason) = (data.display().to_string(), "it is missing".to_owned());
            return Err(Error::Damaged { what, reason });
        }
        files::warn_if_open_to_others(&path);
        Ok(Self { path, data, id, lock })
    }

    /// Returns the identity of the store.
    pub(crate) fn id(&self) -> StoreId {
        self.id
    }

    /// Checks that this process may make and replace files by their paths: that it is the one that
    /// has opened the directory, and that the directory with the store is still at its path.
    ///
    /// It costs some system calls; [`is_forked`](Self::is_forked) alone costs less.
    ///
    /// # Errors
    /// [`EngineErrorKind::Displaced`] says what has happened; another kind, that it could not be found
    /// out.
    pub(crate) fn check_identity(&self) -> Result<(), EngineError> {
        if self.is_forked() {
            return Err(forked());
        }
        let dir = self.path.display();
        match files::is_at(&self.lock.file, &self.path.join(LOCK_FILE)) {
            Ok(true) => {}
            Ok(false) if self.path.try_exists().unwrap_or(true) => {
                return Err(displaced(format!("{dir} is no longer the directory of this store")));
            }
            Ok(false) => return Err(displaced(format!("{dir} was moved away or deleted"))),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(displaced(format!("{dir} is no longer a directory")));
            }
            Err(error) => return Err(error.into()),
        }
        // The lock could be in its place, and the rest have been replaced.
        let found = FormatFile::read(&self.path, FORMAT_FILE);
        match found {
            Ok(format) if format.id == self.id() => Ok(()),
            Ok(_) => Err(displaced(format!("{dir} holds another store now"))),
            Err(error @ Error::Io { .. }) if !is_missing(&error) => {
                Err(EngineError::new(EngineErrorKind::Io, "the format file could not be read")
                    .with_source(error))
            }
            Err(error) => {
                Err(displaced(format!("{dir} holds this store no longer")).with_source(error))
            }
        }
    }

    /// Returns whether this process is a fork of the one that has opened the directory: its files are
    /// its parent's.
    pub(crate) fn is_forked(&self) -> bool {
        self.lock.is_forked()
    }

    /// Makes the directory look as it does to a fork.
    #[cfg(test)]
    pub(crate) fn forget_process(&mut self) {
        self.lock.process = self.lock.process.wrapping_add(1);
    }

    /// Returns the directory of the engine's files.
    pub fn data(&self) -> &Path {
        &self.data
    }
}

/// Returns the error of a directory where a store was meant to be.
fn no_store(dir: PathBuf) -> Error {
    let reason =
        "there is no store in it; look whether the path is right, and what is mounted there";
    Error::NotAStore { dir, reason: reason.to_owned() }
}

/// Returns the error of a process that uses the store of its parent.
pub(crate) fn forked() -> EngineError {
    displaced("the process is a fork of the one that has opened the store".to_owned())
}

fn displaced(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Displaced, message)
}

/// Returns whether a file is not there.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn survey(path: &Path) -> Result<Contents, Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Contents::Foreign("it is not a directory".to_owned()));
        }
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let mut stranger = None;
    for entry in entries {
        let name = entry.map_err(|error| Error::io("read", path, error))?.file_name();
        match name.to_str() {
            Some(FORMAT_FILE | UNFINISHED_FORMAT_FILE | LOCK_FILE | LOST_AND_FOUND) => {}
            _ => stranger = Some(name),
        }
    }
    // IMPORTANT: asked for by name, after the walk and in this order. A creation that goes on
    // meanwhile renames the first to the second, and a walk over the directory may miss both.
    let [unfinished, finished] = [UNFINISHED_FORMAT_FILE, FORMAT_FILE].map(|name| {
        let file = path.join(name);
        file.try_exists().map_err(|error| Error::io("read", file, error))
    });
    Ok(match (finished?, unfinished?, stranger) {
        (true, _, _) => Contents::Store,
        (false, false, Some(name)) => {
            Contents::Foreign(format!("it holds {} and no {FORMAT_FILE} file", name.display()))
        }
        (false, _, _) => Contents::Vacant,
    })
}

/// Locks the directory, or returns `None` when it has been removed or replaced meanwhile.
fn take_lock(path: &Path) -> Result<Option<Lock>, Error> {
    let lock_path = path.join(LOCK_FILE);
    match files::open_or_create(&lock_path) {
        Ok(file) => hold(file, path, File::try_lock),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("lock", lock_path, error)),
    }
}

/// Takes the lock on the directory `path` by its open file, or returns `None` when that is no longer there.
fn hold(
    lock: File,
    path: &Path,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Option<Lock>, Error> {
    let lock_path = path.join(LOCK_FILE);
    let failed = |error| Error::io("lock", &lock_path, error);
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match try_lock(&lock) {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if closing::wait() => {}
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    let lock = Lock { file: lock, process: process::id() };
    let current = files::is_at(&lock.file, &lock_path).map_err(failed)?;
    Ok(current.then_some(lock))
}

/// Makes a store in `path`, whose lock is held.
fn create_store(
    path: &Path,
    engine: &str,
    create: impl FnOnce(&Path, StoreId) -> Result<(), Error>,
) -> Result<(), Error> {
    let data = path.join(DATA_DIR);
    let unfinished = path.join(UNFINISHED_FORMAT_FILE);
    // IMPORTANT: first the mark, and on disk: only beside it is a `data` directory ours to remove.
    let format_file =
        files::create_anew(&unfinished).map_err(|error| Error::io("create", &unfinished, error))?;
    files::sync_dir(path)?;
    let id = StoreId::random().map_err(|error| Error::io("create", path, error))?;
    create_data(&data, id, create)?;
    let format = FormatFile { engine: engine.to_owned(), id, created_ms: now_ms() };
    files::write_synced(format_file, &unfinished, format.to_text().as_bytes())?;
    let finished = path.join(FORMAT_FILE);
    fs::rename(&unfinished, &finished).map_err(|error| Error::io("rename", &finished, error))?;
    files::sync_dir(path)?;
    files::sync_parent(path)
}

fn create_data(
    data: &Path,
    id: StoreId,
    create: impl FnOnce(&Path, StoreId) -> Result<(), Error>,
) -> Result<(), Error> {
    match fs::remove_dir_all(data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", data, error));
        }
        _ => {}
    }
    files::create_dir(data).map_err(|error| Error::io("create", data, error))?;
    create(data, id)?;
    files::sync_tree(data)
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
