//! Reading the records of a log without opening it: for people, and for saving a damaged store.

use std::{
    io,
    path::{Path, PathBuf},
    vec,
};

use super::{
    damage::LogDamage,
    files::{Access, LogDir},
    marker::Marker,
    survey::{self, Survey},
    walk::{Step, Walk},
};
use crate::{store_id::StoreId, types::Error};

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
    damage: vec::IntoIter<Error>,
    walk: Walk,
}

/// Reads the log of `store` in the directory `dir`, which nobody may write to meanwhile, and writes nothing.
///
/// Every record behind `after` is wanted: where a file is missing or has lost its header, those of the files before it
/// are taken for the log's. Without `after` the first record is the oldest that is there.
///
/// Records behind the end of a log that a crash has cut are not among them: they were never part of it.
/// Those on both sides of damage are.
///
/// # Errors
/// [`Error::Io`], or [`Error::Damaged`] if the directory is missing.
pub(crate) fn scan(dir: &Path, store: StoreId, after: Option<u64>) -> Result<LogScan, Error> {
    let marker_dir = survey::open_dir(dir.parent().unwrap_or(dir))?;
    scan_in((&*survey::open_dir(dir)?, &*marker_dir), store, after)
}

pub(super) fn scan_in(
    (dir, marker_dir): (&dyn LogDir, &dyn LogDir),
    store: StoreId,
    after: Option<u64>,
) -> Result<LogScan, Error> {
    let survey = Survey::read(dir, store, Access::Read)?;
    let path = dir.path().to_owned();
    let files = if after.is_some() { survey.chain_over_gaps() } else { survey.chain(0) };
    let mut synced = survey.synced();
    let mut damage: Vec<_> = survey.damage.into_iter().map(Error::from).collect();
    match Marker::read(marker_dir, store) {
        Ok(marker) => synced = synced.max(marker.map_or(0, |marker| marker.sequence)),
        Err(error @ Error::Damaged { .. }) => damage.push(error),
        Err(error) => return Err(error),
    }
    let walk = Walk::new(path.clone(), files, after.map(|after| after + 1), synced);
    Ok(LogScan { dir: path, damage: damage.into_iter(), walk })
}

impl LogScan {
    fn step(&mut self) -> io::Result<Option<Result<ScannedRecord, LogDamage>>> {
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

/// An item that is [`Error::Damaged`] tells of a place where records are missing, and the walk goes on behind it;
/// another error ends it.
impl Iterator for LogScan {
    type Item = Result<ScannedRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damage) = self.damage.next() {
            return Some(Err(damage));
        }
        match self.step() {
            Ok(step) => step.map(|step| step.map_err(Error::from)),
            Err(error) => {
                self.walk.abandon();
                Some(Err(Error::io("read", &self.dir, error)))
            }
        }
    }
}
