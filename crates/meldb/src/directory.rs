//! The store's directory: what is in it, who has it open, and how it comes into being.
//!
//! ```text
//! MELDB        the format file: version, engine, when created     directory/format_file.rs
//! lock         empty; locked while a store has the directory open
//! data/        the engine's files
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
//! # Races
//!
//! The lock is taken before anything is looked at or made, so two creators cannot meet. The lock
//! is on a file, and the file might have been removed or moved away, directory and all, between
//! opening and locking it; a lock counts only if the path still leads to the file that is locked.

mod files;
mod format_file;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use self::format_file::FormatFile;
use crate::error::Error;

pub use self::format_file::FORMAT_VERSION;

const FORMAT_FILE: &str = "MELDB";
const UNFINISHED_FORMAT_FILE: &str = "MELDB.new";
const LOCK_FILE: &str = "lock";
const DATA_DIR: &str = "data";
/// Made by `mkfs` in the root of a file system, which is where a store's directory often is.
const LOST_AND_FOUND: &str = "lost+found";

/// How often to start over when the directory is replaced while it is being locked.
const LOCK_ATTEMPTS_MAX: usize = 16;

/// A store's directory, locked until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    format: FormatFile,
    created_now: bool,
    _lock: File,
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
    /// `create` makes the engine's files in the empty directory that it is given, and has closed
    /// them when it returns.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAStore`], [`Error::UnsupportedFormat`],
    /// [`Error::WrongEngine`], [`Error::Damaged`] where the format file is, [`Error::Io`], and what
    /// `create` returns.
    pub fn open(
        path: &Path,
        engine: &str,
        create: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
        for _ in 0..LOCK_ATTEMPTS_MAX {
            // Looked at before it is locked, so that nothing is left in a directory of others.
            match survey(&path)? {
                Contents::Foreign(reason) => return Err(Error::NotAStore { dir: path, reason }),
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

    fn open_locked(
        path: PathBuf,
        lock: File,
        engine: &str,
        create: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let created_now = match survey(&path)? {
            Contents::Foreign(reason) => return Err(Error::NotAStore { dir: path, reason }),
            Contents::Missing | Contents::Vacant => {
                let created = create_store(&path, engine, create);
                if created.is_err() {
                    // Only to be tidy: what stays is recognised as unfinished.
                    let _ = fs::remove_dir_all(path.join(DATA_DIR));
                    let _ = fs::remove_file(path.join(UNFINISHED_FORMAT_FILE));
                }
                created?;
                true
            }
            Contents::Store => false,
        };
        let format = FormatFile::read(&path, FORMAT_FILE)?;
        if format.engine != engine {
            let (found, asked) = (format.engine, engine.to_owned());
            return Err(Error::WrongEngine { dir: path, found, asked });
        }
        let directory = Self { path, format, created_now, _lock: lock };
        if !directory.data().is_dir() {
            let what = directory.data().display().to_string();
            return Err(Error::Damaged { what, reason: "the directory is missing".to_owned() });
        }
        Ok(directory)
    }

    /// Returns the path of the directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the engine's files.
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA_DIR)
    }

    /// Returns the engine that the store was made with.
    pub fn engine(&self) -> &str {
        &self.format.engine
    }

    /// Returns when the store was created, in epoch milliseconds.
    pub fn created_ms(&self) -> u64 {
        self.format.created_ms
    }

    /// Returns whether it was created by this opening.
    pub fn created_now(&self) -> bool {
        self.created_now
    }
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
    let (mut unfinished, mut stranger) = (false, None);
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", path, error))?;
        match entry.file_name().to_str() {
            Some(FORMAT_FILE) => return Ok(Contents::Store),
            Some(UNFINISHED_FORMAT_FILE) => unfinished = true,
            Some(LOCK_FILE | LOST_AND_FOUND) => {}
            _ => stranger = Some(entry.file_name()),
        }
    }
    Ok(match stranger {
        Some(name) if !unfinished => {
            Contents::Foreign(format!("it holds {} and no {FORMAT_FILE} file", name.display()))
        }
        _ => Contents::Vacant,
    })
}

/// Locks the directory, or returns `None` when it has been removed or replaced meanwhile.
fn take_lock(path: &Path) -> Result<Option<File>, Error> {
    let lock_path = path.join(LOCK_FILE);
    let failed = |error| Error::io("lock", &lock_path, error);
    let mut options = OpenOptions::new();
    let lock = match options.read(true).write(true).create(true).truncate(false).open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::InUse { dir: path.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let current = files::is_at(&lock, &lock_path).map_err(failed)?;
    Ok(current.then_some(lock))
}

/// Makes a store in `path`, whose lock is held.
fn create_store(
    path: &Path,
    engine: &str,
    create: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let data = path.join(DATA_DIR);
    let unfinished = path.join(UNFINISHED_FORMAT_FILE);
    // IMPORTANT: first the mark, and on disk: only beside it is a `data` directory ours to remove.
    File::create(&unfinished).map_err(|error| Error::io("create", &unfinished, error))?;
    files::sync_dir(path)?;
    match fs::remove_dir_all(&data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", data, error));
        }
        _ => {}
    }
    fs::create_dir(&data).map_err(|error| Error::io("create", &data, error))?;
    create(&data)?;
    files::sync_tree(&data)?;

    let format = FormatFile { engine: engine.to_owned(), created_ms: now_ms() };
    files::write_synced(&unfinished, format.to_text().as_bytes())?;
    let finished = path.join(FORMAT_FILE);
    fs::rename(&unfinished, &finished).map_err(|error| Error::io("rename", &finished, error))?;
    files::sync_dir(path)?;
    files::sync_parent(path)
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
