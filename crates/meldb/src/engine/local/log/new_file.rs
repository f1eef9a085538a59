//! Files of the log as they are created: their names, and their way to stable storage.

use super::{
    files::{Access, LogDir, LogFile, write_all_at},
    header::Header,
    ledger::Handles,
};
use crate::engine::{EngineError, EngineErrorKind};

/// Zeros are written in pieces of this length.
const ZEROS_BYTES: usize = 256 << 10;
/// How much is written of a new file before it is synced, so that a sync of the log does not queue
/// behind all of it.
const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

/// Returns the name of a file; which of them holds what is in their headers alone.
pub(super) fn file_name(slot: u64) -> String {
    format!("{slot:04}.log")
}

/// Returns whether a file of this name is one of the log's.
pub(super) fn is_file_name(name: &str) -> bool {
    name.strip_suffix(".log")
        .is_some_and(|slot| slot.parse().is_ok_and(|slot| file_name(slot) == name))
}

/// Creates a file with a header, all of it on stable storage.
pub(super) fn create_file(
    dir: &dyn LogDir,
    name: &str,
    header: &Header,
    is_stopped: impl Fn() -> bool,
) -> std::io::Result<Handles> {
    // Not one of the log's before it is whole.
    let unfinished = format!("{name}.new");
    let created = || {
        let appender = dir.create(&unfinished)?;
        fill(&*appender, header.file_bytes, is_stopped)?;
        write_all_at(&*appender, &header.encode(), 0)?;
        appender.sync_all()?;
        dir.rename(&unfinished, name)?;
        dir.sync()?;
        let background = dir.open(name, Access::Write)?;
        Ok(Handles { appender, background })
    };
    created().inspect_err(|_| {
        // It takes space that is short. What is left of it is overwritten the next time.
        let _ = dir.remove(&unfinished);
    })
}

fn fill(file: &dyn LogFile, bytes: u64, is_stopped: impl Fn() -> bool) -> std::io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES.min(usize::try_from(bytes).unwrap_or(ZEROS_BYTES))];
    let mut written = 0;
    while written < bytes {
        if is_stopped() {
            return Err(std::io::Error::other("the store is being closed"));
        }
        let piece = zeros.len().min((bytes - written) as usize);
        write_all_at(file, &zeros[..piece], written)?;
        written += piece as u64;
        if written.is_multiple_of(UNSYNCED_BYTES_MAX) {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Makes sure that a directory is where it was opened.
pub(super) fn check_place(dir: &dyn LogDir) -> Result<(), EngineError> {
    if dir.is_in_place()? {
        return Ok(());
    }
    let path = dir.path().display();
    let message = format!("{path} was moved, replaced or removed while the store was open");
    Err(EngineError::new(EngineErrorKind::Displaced, message))
}
