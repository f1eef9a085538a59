//! Reading the records of a log without opening it: for people, and for saving a damaged store.

use std::{
    io,
    path::{Path, PathBuf},
    vec,
};

use super::{
    damage::LogDamage,
    files::{Access, LogDir},
    survey::{self, Survey},
    walk::{Step, Walk},
};
use crate::{error::Error, store_id::StoreId};

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScannedRecord {
    /// Its number.
    pub(crate) sequence: u64,
    /// The file that it is in.
    pub(crate) file: PathBuf,
    /// The number of that file.
    pub(crate) file_number: u64,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    /// Every record up to this one was on stable storage when it was written.
    pub(crate) synced: u64,
    /// What was appended.
    pub(crate) payload: Vec<u8>,
}

/// The records of a log, in order, and what is wrong with it, where it is.
pub(crate) struct LogScan {
    dir: PathBuf,
    damage: vec::IntoIter<LogDamage>,
    walk: Walk,
}

/// Reads the log in `dir`, which nobody may write to meanwhile, and writes nothing. The first record is
/// the one behind `after`, or the oldest that is there if that is `None`. The files are those of `store`
/// or, without one, those of the store of the newest file.
///
/// Records behind the end of a log that a crash has cut are not among them: they were never part of it.
/// Those on both sides of damage are.
///
/// # Errors
/// [`Error::Io`], or [`Error::Damaged`] if the directory is missing.
pub(crate) fn scan(
    dir: &Path,
    store: Option<StoreId>,
    after: Option<u64>,
) -> Result<LogScan, Error> {
    scan_in(&*survey::open_dir(dir)?, store, after)
}

pub(super) fn scan_in(
    dir: &dyn LogDir,
    store: Option<StoreId>,
    after: Option<u64>,
) -> Result<LogScan, Error> {
    let survey = Survey::read(dir, store, Access::Read)?;
    let next = after.map(|after| after + 1);
    let path = dir.path().to_owned();
    let walk = Walk::new(path.clone(), survey.chain(0), next, survey.synced());
    Ok(LogScan { dir: path, damage: survey.damage.into_iter(), walk })
}

impl LogScan {
    fn scanned(&mut self) -> io::Result<Option<Result<ScannedRecord, LogDamage>>> {
        let Some(step) = self.walk.step()? else { return Ok(None) };
        let (file, record) = match step {
            Step::Record(file, record) => (file, record),
            Step::Damage(damage) => return Ok(Some(Err(damage))),
        };
        let payload = self.walk.payload(file, &record)?.to_vec();
        let found = self.walk.file(file);
        Ok(Some(Ok(ScannedRecord {
            sequence: record.frame.sequence,
            file: self.dir.join(&found.name),
            file_number: found.header.number,
            offset: record.offset,
            synced: record.frame.synced,
            payload,
        })))
    }
}

impl Iterator for LogScan {
    type Item = Result<Result<ScannedRecord, LogDamage>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damage) = self.damage.next() {
            return Some(Ok(Err(damage)));
        }
        self.scanned().map_err(|error| Error::io("read", &self.dir, error)).transpose()
    }
}
