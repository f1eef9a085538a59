//! An ingestion in a file of its own, until sled has all of it.
//!
//! ```text
//! first id u64 │ entry … │ count of entries u64 │ checksum u64
//! entry: 01, length of the key u32, key, length of the value u32, value; or 00, length of the key u32, key
//! ```
//!
//! Integers are big-endian. The checksum is the XXH3-64, seed 0, over everything before it. The file is written as
//! `ingest.new`, synced, and renamed to `ingest`, which commits the ingestion.

use std::{
    fs::{self, File},
    hash::Hasher,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::layout::{VALUE_BYTES_MAX, damaged};
use crate::{
    directory::files::{create_anew, sync_names},
    engine::{EngineError, tables::TableEntry},
};

const NAME: &str = "ingest";
const NAME_IN_THE_MAKING: &str = "ingest.new";
const COUNT_BYTES: i64 = 8;
const CHECKSUM_BYTES: i64 = 8;
const BUFFER_BYTES: usize = 256 << 10;

const REMOVE: u8 = 0;
const PUT: u8 = 1;

/// A whole spool that is being read.
pub(super) struct Spool {
    path: PathBuf,
    file: BufReader<File>,
    first_id: u64,
    entries_left: u64,
}

impl Spool {
    /// Writes a spool, which is on stable storage when this returns.
    ///
    /// # Errors
    /// Writing failed, or an entry is an error; there is no spool then.
    pub(super) fn write(
        dir: &Path,
        first_id: u64,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<Self, EngineError> {
        let new = dir.join(NAME_IN_THE_MAKING);
        let written = write_entries(&new, first_id, entries);
        if let Err(error) = written {
            fs::remove_file(&new).ok();
            return Err(error);
        }
        let path = dir.join(NAME);
        fs::rename(&new, &path)?;
        sync_names(dir)?;
        Self::open(path)
    }

    /// Returns the spool of an ingestion that was interrupted, if there is one.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub(super) fn find(dir: &Path) -> Result<Option<Self>, EngineError> {
        match fs::remove_file(dir.join(NAME_IN_THE_MAKING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let path = dir.join(NAME);
        if !path.try_exists()? {
            return Ok(None);
        }
        Self::open(path).map(Some)
    }

    fn open(path: PathBuf) -> Result<Self, EngineError> {
        let mut file = File::open(&path)?;
        let body_bytes = file.seek(SeekFrom::End(-CHECKSUM_BYTES))?;
        let checksum = read_u64(&mut file)?;
        file.seek(SeekFrom::End(-CHECKSUM_BYTES - COUNT_BYTES))?;
        let entries_left = read_u64(&mut file)?;
        file.rewind()?;
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut body = Hashed::new(io::sink());
        io::copy(&mut file.by_ref().take(body_bytes), &mut body)?;
        if body.hasher.finish() != checksum {
            return Err(damaged("the spool of an ingestion does not match its checksum"));
        }
        file.rewind()?;
        let first_id = read_u64(&mut file)?;
        Ok(Self { path, file, first_id, entries_left })
    }

    /// Returns the id of the first entry; each next one has the next id.
    pub(super) fn first_id(&self) -> u64 {
        self.first_id
    }

    /// Returns the next entry.
    ///
    /// # Errors
    /// Reading failed.
    pub(super) fn next(&mut self) -> Result<Option<TableEntry>, EngineError> {
        if self.entries_left == 0 {
            return Ok(None);
        }
        self.entries_left -= 1;
        let mut kind = [0];
        self.file.read_exact(&mut kind)?;
        let key = self.read_bytes()?;
        let value = match kind[0] {
            REMOVE => None,
            PUT => Some(self.read_bytes()?),
            _ => return Err(damaged("the spool of an ingestion cannot be read")),
        };
        Ok(Some((key, value)))
    }

    fn read_bytes(&mut self) -> Result<Bytes, EngineError> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > VALUE_BYTES_MAX {
            return Err(damaged("the spool of an ingestion cannot be read"));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Removes the file. Should a crash undo that, applying it once more changes nothing.
    pub(super) fn remove(self) -> Result<(), EngineError> {
        Ok(fs::remove_file(self.path)?)
    }
}

fn write_entries(
    path: &Path,
    first_id: u64,
    entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
) -> Result<(), EngineError> {
    let file = create_anew(path)?;
    let mut out = Hashed::new(BufWriter::with_capacity(BUFFER_BYTES, file));
    let mut count = 0_u64;
    out.write_all(&first_id.to_be_bytes())?;
    for entry in entries {
        let (key, value) = entry?;
        out.write_all(&[if value.is_some() { PUT } else { REMOVE }])?;
        for bytes in [Some(key), value].into_iter().flatten() {
            let length = u32::try_from(bytes.len())
                .ok()
                .filter(|&length| length as usize <= VALUE_BYTES_MAX);
            let length = length.ok_or_else(|| damaged("a value is longer than 1 GiB"))?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(&bytes)?;
        }
        count += 1;
    }
    out.write_all(&count.to_be_bytes())?;
    let checksum = out.hasher.finish();
    let mut out = out.out;
    out.write_all(&checksum.to_be_bytes())?;
    let file = out.into_inner().map_err(|error| error.into_error())?;
    Ok(file.sync_all()?)
}

/// A writer that hashes what goes through it.
struct Hashed<W> {
    out: W,
    hasher: XxHash3_64,
}

impl<W> Hashed<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: XxHash3_64::with_seed(0) }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.write(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn read_u64(file: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
