//! Opening a store's directory: here, or through the socket of the process that has it open.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use meldb::{Builder, Error, Store};

use crate::{
    backend::{Backend, Remote},
    failure::{Code, Failure, Result},
    output,
};

/// How long a command waits for a directory in use whose process offers no socket: it may be
/// starting, or about to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a command waits between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The file whose presence makes a directory a store.
const FORMAT_FILE: &str = "MELDB";

/// What to do when there is no store in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make one.
    Create,
    /// Fail: what is to be changed must be there.
    Fail,
    /// Fail, and read a store that cannot be written to: a command that only looks needs no more.
    FailToRead,
}

/// Returns the path of the socket that a server has in its store's directory.
pub(crate) fn socket_path(dir: &Path) -> PathBuf {
    dir.join("meldb.sock")
}

/// Returns whether there is a store in the directory.
///
/// # Errors
/// It cannot be looked at.
pub(crate) fn is_store(dir: &Path) -> Result<bool> {
    match fs::metadata(dir.join(FORMAT_FILE)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::io(format_args!("look into {}", dir.display()), &error)
            .hint("a store is a directory that you may read and enter; name it with --dir")),
    }
}

/// Opens the directory, through its server if one runs on it.
pub(crate) async fn open(dir: &Path, missing: Missing) -> Result<Backend> {
    let exists = is_store(dir)?;
    if !exists && missing != Missing::Create {
        return Err(no_store(dir));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(server) = Remote::connect(&socket_path(dir)).await? {
            return Ok(Backend::Remote(server));
        }
        let builder = Store::builder();
        let opened = match missing {
            Missing::Create => builder.open(dir),
            Missing::Fail => builder.open_existing(dir),
            Missing::FailToRead => open_to_read(dir),
        };
        match opened {
            Ok(store) => {
                if !exists {
                    output::warn(&format!("made a store in {}", dir.display()));
                }
                return Ok(Backend::over(store));
            }
            Err(Error::InUse { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens the store in a directory in this process to read it; where it cannot be written to, such as on a file system
/// that is mounted for reading, without writing.
pub(crate) fn open_to_read(dir: &Path) -> meldb::Result<Store> {
    match Store::builder().open_existing(dir) {
        Err(Error::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) =>
        {
            Store::builder().open_read_only(dir)
        }
        opened => opened,
    }
}

/// Opens the directory in this process, to serve it.
pub(crate) fn open_to_serve(builder: Builder, dir: &Path, missing: Missing) -> Result<Store> {
    let opened = match missing {
        Missing::Create => builder.open(dir),
        Missing::Fail | Missing::FailToRead => builder.open_existing(dir),
    };
    opened.map_err(|error| match error {
        Error::InUse { .. } => Failure::new(
            Code::Unavailable,
            format!("{} is in use: another meldb is running on it", dir.display()),
        )
        .hint("stop that one first, or choose another directory with --dir"),
        error => error.into(),
    })
}

pub(crate) fn no_store(dir: &Path) -> Failure {
    Failure::usage(format!("there is no store in {}", dir.display())).hint(
        "name its directory with --dir or MELDB_DIR, or a server with --url; \
         `meldb put` and `meldb serve` make a new store",
    )
}
