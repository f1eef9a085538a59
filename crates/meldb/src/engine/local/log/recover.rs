//! Opening a log: its records read in order, its end found and made firm.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    files::{Access, LogDir, LogFile, read_full_at, write_all_at},
    header::RECORDS_AT,
    ledger::LiveFile,
    marker::Marker,
    pool::{Spare, Stock},
    survey::Survey,
    walk::{Step, Walk},
    window::FoundFile,
};
use crate::{store_id::StoreId, types::Error};

/// What is called with each record: its sequence number and its payload.
pub(crate) type Replay<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// How a log was found when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The last record of the log, or the last one that the tables contain if that is later.
    pub(crate) last_sequence: u64,
    /// How many records were replayed.
    pub(crate) replayed: u64,
    /// Whether the store was closed, and not written to since.
    pub(crate) was_closed: bool,
}

/// What [`recover`] leaves for the log that goes on.
pub(super) struct Recovery {
    pub(super) recovered: Recovered,
    /// The last record that the marker tells of; 0 without one.
    pub(super) marked: u64,
    pub(super) live: Vec<LiveFile>,
    pub(super) stock: Stock,
}

/// A stretch of records of one file that may not be on stable storage.
struct Unproven {
    file: usize,
    start: u64,
    end: u64,
    last: u64,
}

/// A log whose files have been looked at.
struct Found {
    survey: Survey,
    marker: Option<Marker>,
    /// Those with records that may be wanted.
    files: Vec<FoundFile>,
    /// The store was closed, and its log not written to since.
    is_closed: bool,
    /// The last record that is known to have been on stable storage.
    synced: u64,
    walk: Walk,
}

impl Found {
    fn read(
        (dir, marker_dir): (&dyn LogDir, &dyn LogDir),
        store: StoreId,
        contained: u64,
        access: Access,
    ) -> Result<Self, Error> {
        let survey = Survey::read(dir, store, access)?;
        if let Some(damage) = survey.damage.first() {
            return Err(damage.clone().into());
        }
        let marker = Marker::read(marker_dir, store)?;
        let (marked, marked_file) =
            marker.as_ref().map_or((0, 0), |marker| (marker.sequence, marker.file));
        // What was written before the store was closed is not looked at if the tables contain it.
        let after = if contained >= marked { marked_file } else { 0 };
        let files = survey.chain(after);
        let is_closed = files.iter().all(|found| found.header.number <= marked_file);
        let synced = survey.synced().max(marked);
        let walk = Walk::new(dir.path().to_owned(), files.clone(), Some(contained + 1), synced)
            .closed_at(is_closed.then_some(marked));
        Ok(Self { survey, marker, files, is_closed, synced, walk })
    }
}

/// Reads the log in `dir`, which nobody may write to meanwhile, and calls `replay` with each record above `contained`.
/// Nothing is written: what the operating system has of an unsynced record is as good as the record.
pub(super) fn read(
    (dir, marker_dir): (&dyn LogDir, &dyn LogDir),
    store: StoreId,
    contained: u64,
    replay: &mut Replay<'_>,
) -> Result<(), Error> {
    let mut walk = Found::read((dir, marker_dir), store, contained, Access::Read)?.walk;
    let failed = |error: io::Error| Error::io("read", dir.path(), error);
    while let Some(step) = walk.step().map_err(failed)? {
        match step {
            Step::Record(file, record) => {
                let payload = walk.payload(file, &record).map_err(failed)?;
                replay(record.frame.sequence, payload)?;
            }
            Step::Damage(damage) => return Err(damage.into()),
        }
    }
    Ok(())
}

/// Reads the log in `dir`, calls `replay` with each record above `contained`, and brings to stable
/// storage what was read. Nothing is written if that is known to be there.
pub(super) fn recover(
    dirs: (&dyn LogDir, &dyn LogDir),
    store: StoreId,
    contained: u64,
    replay: &mut Replay<'_>,
) -> Result<Recovery, Error> {
    let dir = dirs.0;
    let Found { survey, marker, files, is_closed, synced, mut walk } =
        Found::read(dirs, store, contained, Access::Write)?;
    let (marked, marked_file) =
        marker.as_ref().map_or((0, 0), |marker| (marker.sequence, marker.file));
    let failed = |error: io::Error| Error::io("read", dir.path(), error);
    let mut ends = vec![(0, RECORDS_AT); files.len()];
    let mut recovered = Recovered { last_sequence: contained, replayed: 0, was_closed: false };
    let mut unproven = VecDeque::new();
    while let Some(step) = walk.step().map_err(failed)? {
        let (file, record) = match step {
            Step::Record(file, record) => (file, record),
            Step::Damage(damage) => return Err(damage.into()),
        };
        let sequence = record.frame.sequence;
        replay(sequence, walk.payload(file, &record).map_err(failed)?)?;
        recovered.last_sequence = sequence;
        recovered.replayed += 1;
        ends[file] = (sequence, record.end());
        prove(&mut unproven, record.frame.synced.max(synced));
        if sequence > synced {
            let (start, end) = (record.offset, record.end());
            extend(&mut unproven, Unproven { file, start, end, last: sequence });
        }
    }
    settle(&files, unproven).map_err(|error| Error::io("write", dir.path(), error))?;
    recovered.was_closed =
        marker.is_some() && recovered.last_sequence <= marked.max(contained) && is_closed;
    // IMPORTANT: above the marker's as well. A number that was meant for a file that could not be made
    // is not given again, or the next opening would take the file for one from before the close.
    let next_number = survey.last_number().max(marked_file) + 1;
    let (live, stock) = sort_out(&survey, &files, &ends, next_number);
    Ok(Recovery { recovered, marked, live, stock })
}

/// Drops the stretches that are on stable storage up to their end.
fn prove(unproven: &mut VecDeque<Unproven>, synced: u64) {
    while unproven.front().is_some_and(|stretch| stretch.last <= synced) {
        unproven.pop_front();
    }
}

/// Adds a record, to the last stretch if it follows there. A stretch that is proven in part is
/// written again whole, so it is kept short.
fn extend(unproven: &mut VecDeque<Unproven>, record: Unproven) {
    const STRETCH_BYTES_MAX: u64 = 1 << 20;
    match unproven.back_mut() {
        Some(last)
            if last.file == record.file
                && last.end == record.start
                && record.end - last.start <= STRETCH_BYTES_MAX =>
        {
            (last.end, last.last) = (record.end, record.last);
        }
        _ => unproven.push_back(record),
    }
}

/// Writes stretches of records once more, as they were read, and syncs them.
///
/// IMPORTANT: a sync alone would not do. After a sync that failed, Linux has the pages in memory as if
/// they were clean: they are read back, and no later sync writes them.
fn settle(files: &[FoundFile], unproven: VecDeque<Unproven>) -> io::Result<()> {
    let mut unsynced: Option<&Arc<dyn LogFile>> = None;
    let mut buffer = Vec::new();
    for stretch in unproven {
        let file = &files[stretch.file].file;
        if let Some(before) = unsynced
            && !Arc::ptr_eq(before, file)
        {
            before.sync_data()?;
        }
        buffer.resize((stretch.end - stretch.start) as usize, 0);
        if read_full_at(&**file, &mut buffer, stretch.start)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(&**file, &buffer, stretch.start)?;
        unsynced = Some(file);
    }
    unsynced.map_or(Ok(()), |file| file.sync_data())
}

/// Tells the files with records that were replayed from those that are spare.
fn sort_out(
    survey: &Survey,
    files: &[FoundFile],
    ends: &[(u64, u64)],
    next_number: u64,
) -> (Vec<LiveFile>, Stock) {
    let mut live = Vec::new();
    let mut current = 0;
    for (found, (last, used_bytes)) in files.iter().zip(ends) {
        if *last > 0 {
            current = found.header.number;
            let (name, file_bytes) = (found.name.clone(), found.header.file_bytes);
            let (last, used_bytes) = (*last, *used_bytes);
            live.push(LiveFile { name, file_bytes, used_bytes, last, handles: None });
        }
    }
    let is_spare = |found: &&FoundFile| !live.iter().any(|file| file.name == found.name);
    let spares = survey.files.iter().filter(is_spare).map(|found| {
        // One that was cut short can be used as far as it goes.
        let file_bytes = found.header.file_bytes.min(found.bytes);
        Spare { name: found.name.clone(), file_bytes }
    });
    let largest = survey.files.iter().map(|found| found.header.file_bytes).max();
    let stock = Stock {
        spares: spares.collect(),
        names: survey.names.clone(),
        next_number,
        current,
        largest_bytes: largest.unwrap_or_default(),
    };
    (live, stock)
}
