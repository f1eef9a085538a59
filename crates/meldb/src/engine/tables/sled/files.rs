//! The directory of a sled store, and opening it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ::sled::{Config, Db, Mode};

use super::failure::translate;
use crate::engine::{EngineError, EngineErrorKind};

/// How long to wait for the lock on `db`, which sled's background threads may hold for a while
/// after a store was closed. Another process cannot be the reason: the directory's lock is ours.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);

/// Returns how sled is set up.
pub(super) fn config(dir: &Path, cache_bytes: u64) -> Config {
    Config::new()
        .path(dir)
        .mode(Mode::LowSpace)
        .cache_capacity(cache_bytes)
        .use_compression(false)
        .flush_every_ms(None)
}

/// Opens sled's `db` file, which holds its log.
pub(super) fn db(dir: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(dir.join("db"))
}

/// Removes the snapshots of its log that sled was writing when it was interrupted.
///
/// IMPORTANT: sled means to leave them alone and looks for another ending than the one it gives
/// them, so that a store in which there is one would not open. What they were made of is still in
/// the log and in the snapshot before. One that is whole stays, and sled reads it: it may have gone
/// on from there, and a power cut has taken back that it was given its final name.
pub(super) fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for file in dir.read_dir()? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        let is_new = name.starts_with("snap.") && name.ends_with(".generating");
        if is_new && !is_whole_snapshot(&fs::read(file.path())?) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Returns whether a snapshot ends with its checksum: CRC-32 over all but its last 12 bytes.
fn is_whole_snapshot(bytes: &[u8]) -> bool {
    let Some((bytes, checksum)) = bytes.split_last_chunk::<4>() else { return false };
    let Some((bytes, _length)) = bytes.split_last_chunk::<8>() else { return false };
    !bytes.is_empty() && crc32fast::hash(bytes) == u32::from_le_bytes(*checksum)
}

/// Opens the database, once sled's own threads have let go of it.
pub(super) fn open_when_unlocked(dir: &Path, cache_bytes: u64) -> Result<Db, EngineError> {
    let start = Instant::now();
    loop {
        match config(dir, cache_bytes).open() {
            Err(::sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock") =>
            {
                if start.elapsed() > LOCK_WAIT_MAX {
                    let message = "another process has the sled store open";
                    return Err(
                        EngineError::new(EngineErrorKind::Refused, message).with_source(error)
                    );
                }
                thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.map_err(translate),
        }
    }
}
