//! Files and directories that are on stable storage when the call returns.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use crate::error::Error;

/// Makes the directory `path` and what is missing above it.
pub(super) fn create_dir_durably(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir_durably(parent)?;
    }
    match fs::create_dir(path) {
        // Somebody else may have made it at the same time, and not have synced it yet.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(Error::io("create", path, error))
        }
        _ => path.parent().map_or(Ok(()), sync_dir),
    }
}

/// Writes a file anew and syncs it; not the directory that names it.
pub(super) fn write_synced(path: &Path, text: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(|error| Error::io("write", path, error))
}

/// Syncs a directory and everything below it.
pub(super) fn sync_tree(dir: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("read", dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_tree(&path)?;
        } else {
            // Windows syncs only what is open for writing.
            let sync = || OpenOptions::new().read(true).write(true).open(&path)?.sync_all();
            sync().map_err(|error| Error::io("sync", &path, error))?;
        }
    }
    sync_dir(dir)
}

/// Syncs the names in a directory.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    if cfg!(windows) {
        // Directories cannot be synced there; the file system's journal keeps names in order.
        return Ok(());
    }
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(|error| Error::io("sync", dir, error))
}

/// Syncs the name of `path` itself, unless what is above is not ours to read.
pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    match path.parent().map_or(Ok(()), sync_dir) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Returns whether `path` still leads to `file`.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path) {
        Ok(named) => {
            let held = file.metadata()?;
            Ok((named.dev(), named.ino()) == (held.dev(), held.ino()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether `path` still leads to `file`.
///
/// Elsewhere an open file can be neither removed nor moved, so what is there is what was opened.
#[cfg(not(unix))]
pub(super) fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}
