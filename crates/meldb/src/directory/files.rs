//! Files and directories that are their owner's alone, and on stable storage when the call returns.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use crate::types::Error;

/// Returns the options to create a file that nobody but its owner may open.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a file in the place of what is there. A symbolic link is replaced and never followed.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => private().open(path),
    }
}

/// Opens a file, or creates it.
///
/// # Errors
/// Also where the path leads to a symbolic link, or to anything else that is no file.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    match private().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is a link or a directory, and not a file"));
    }
    OpenOptions::new().read(true).write(true).open(path)
}

/// Creates a directory that nobody but its owner may enter.
pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Warns if other users of the machine may enter a directory, and so perhaps read what is in it.
pub(super) fn warn_if_open_to_others(dir: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(dir)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
    {
        let dir = dir.display();
        tracing::warn!(
            "other users of this machine can enter the store's directory; run: chmod go-rwx {dir}"
        );
    }
}

/// Makes the directory `path` and what is missing above it.
pub(super) fn create_dir_durably(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir_durably(parent)?;
    }
    match create_dir(path) {
        // Somebody else may have made it at the same time, and not have synced it yet.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(Error::io("create", path, error))
        }
        _ => path.parent().map_or(Ok(()), sync_dir),
    }
}

/// Writes a new file, which is at `path`, and syncs it; not the directory that names it.
pub(super) fn write_synced(mut file: File, path: &Path, text: &[u8]) -> Result<(), Error> {
    let mut write = || {
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
    sync_names(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Syncs the names in a directory, for callers that have an error of their own.
pub(crate) fn sync_names(dir: &Path) -> io::Result<()> {
    if cfg!(windows) {
        // Directories cannot be synced there; the file system's journal keeps names in order.
        return Ok(());
    }
    File::open(dir)?.sync_all()
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
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    // Not where a link leads.
    match fs::symlink_metadata(path) {
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
pub(crate) fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}
