//! The bytes of a backup.
//!
//! ```text
//! frame   kind   length (u32)   checksum (u64)   payload
//!           1         4               8             …
//! entry   revision (u64)   length (u32)   change   document
//!               8               4            …        …
//! history  revision (u64)  what is stored of the entry
//!               8               …
//! ```
//!
//! Integers are little-endian. The checksum is XXH3-64 over the payload, with the kind as its seed.
//! A change and a document are records as the store has them, each with its own checksum over its
//! text and its key. `docs/format.md` has the same in tables.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{
    engine::{Entry, HistoryEntry, Row, history, key, record},
    types::{Error, Result, Revision, TenantId},
};

/// The version of the format.
pub(super) const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 13;
/// Longer than any frame: the largest document and what is around it.
const PAYLOAD_BYTES_MAX: usize = crate::limits::DOCUMENT_BYTES_CEILING + (1 << 20);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Begin = b'B',
    Tenant = b'T',
    Entry = b'E',
    History = b'H',
    Done = b'D',
    End = b'Z',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let kinds = [Self::Begin, Self::Tenant, Self::Entry, Self::History, Self::Done, Self::End];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The payload of the first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    /// Always `MelDB`.
    pub(super) backup: String,
    pub(super) format: u32,
    pub(super) created: u64,
}

/// The payload of the frame before the entries of a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TenantBegin {
    pub(super) tenant: String,
    /// Only what was written after this revision follows.
    pub(super) after: Revision,
}

/// The payload of the frame behind the entries of a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TenantDone {
    pub(super) tenant: String,
    pub(super) revision: Revision,
    pub(super) horizon: Revision,
    pub(super) entries: u64,
    /// How many entries of history.
    #[serde(default)]
    pub(super) versions: u64,
    /// The highest revision of an entry of history that was removed.
    #[serde(default)]
    pub(super) history_horizon: Revision,
}

/// The payload of the last frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) tenants: u64,
    pub(super) entries: u64,
}

pub(super) fn damaged(reason: impl Into<String>) -> Error {
    Error::Damaged { what: "the backup".to_owned(), reason: reason.into() }
}

pub(super) fn unfit(reason: impl Into<String>) -> Error {
    Error::UnfitBackup { reason: reason.into() }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::io(action, "the backup", source)
}

fn checksum(kind: Kind, payload: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(kind as u64, payload)
}

/// Writes a frame.
pub(super) fn write(out: &mut impl Write, kind: Kind, payload: &[u8]) -> Result<()> {
    let length = u32::try_from(payload.len()).map_err(|_| damaged("a frame is too long"))?;
    let mut header = [0; HEADER_BYTES];
    header[0] = kind as u8;
    header[1..5].copy_from_slice(&length.to_le_bytes());
    header[5..].copy_from_slice(&checksum(kind, payload).to_le_bytes());
    out.write_all(&header).and_then(|()| out.write_all(payload)).map_err(failed("write"))
}

/// Writes a frame of JSON.
pub(super) fn write_json(out: &mut impl Write, kind: Kind, payload: &impl Serialize) -> Result<()> {
    let payload = serde_json::to_vec(payload).map_err(|error| damaged(error.to_string()))?;
    write(out, kind, &payload)
}

/// Flushes what was written.
pub(super) fn flush(out: &mut impl Write) -> Result<()> {
    out.flush().map_err(failed("write"))
}

/// Reads the next frame.
pub(super) fn read(input: &mut impl Read) -> Result<(Kind, Bytes)> {
    let mut header = [0; HEADER_BYTES];
    read_whole(input, &mut header)?;
    let kind = Kind::of(header[0]).ok_or_else(|| damaged("a frame is of no known kind"))?;
    let [length, sum] = [&header[1..5], &header[5..]]
        .map(|bytes| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
    let length = usize::try_from(length).ok().filter(|length| *length <= PAYLOAD_BYTES_MAX);
    let length = length.ok_or_else(|| damaged("a frame is longer than any document"))?;
    let mut payload = BytesMut::zeroed(length);
    read_whole(input, &mut payload)?;
    if checksum(kind, &payload) != sum {
        return Err(damaged("the checksum of a frame does not match"));
    }
    Ok((kind, payload.freeze()))
}

/// Checks that the input ends here.
pub(super) fn read_end(input: &mut impl Read) -> Result<()> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) if Kind::of(byte[0]) == Some(Kind::Begin) => {
                return Err(unfit(
                    "another one seems to follow in the same file; give the full backup and those that go on from \
                     it as files of their own, in their order",
                ));
            }
            Ok(_) => {
                return Err(unfit(
                    "something follows its end; give the file as the backup was written, or take the rest off",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read")(error)),
        }
    }
}

fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
        _ => failed("read")(error),
    })
}

/// Returns what a frame of JSON says.
pub(super) fn json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|error| damaged(error.to_string()))
}

/// Returns the payload of an entry.
pub(super) fn encode_entry(tenant: &TenantId, entry: &Entry) -> Vec<u8> {
    let Entry { revision, change, body, expires_ms, .. } = entry;
    let change_record = record::encode_change(&key::change(tenant, *revision), change);
    let document = key::document(tenant, &change.key);
    let row = Row {
        revision: *revision,
        updated_ms: change.updated_ms,
        body: body.clone(),
        expires_ms: *expires_ms,
    };
    let row = record::encode_row(&document, &row);
    let mut payload = Vec::with_capacity(12 + change_record.len() + row.len());
    payload.extend_from_slice(&revision.get().to_le_bytes());
    // A change has less than 1 KiB.
    payload.extend_from_slice(&(change_record.len() as u32).to_le_bytes());
    payload.extend_from_slice(&change_record);
    payload.extend_from_slice(&row);
    payload
}

/// Returns the payload of an entry of history.
pub(super) fn encode_history(tenant: &TenantId, revision: Revision, entry: &[u8]) -> Vec<u8> {
    let stored = history::stored(&key::history(tenant, revision), entry);
    [&revision.get().to_le_bytes()[..], &stored].concat()
}

/// Reads the payload of an entry of history of `tenant`, and checks it.
pub(super) fn decode_history(tenant: &TenantId, payload: &Bytes) -> Result<(Revision, Bytes)> {
    let short = || damaged("an entry of history is cut short");
    let (revision, _) = payload.split_first_chunk::<8>().ok_or_else(short)?;
    let revision = Revision::new(u64::from_le_bytes(*revision));
    let bad = |damage: record::Damage| damaged(format!("the history at {revision}: {}", damage.0));
    let entry = history::entry_of(&key::history(tenant, revision), payload.slice(8..));
    let entry = entry.map_err(bad)?;
    HistoryEntry::decode(entry.clone()).map_err(bad)?;
    Ok((revision, entry))
}

/// Reads the payload of an entry of `tenant`, and checks its records.
pub(super) fn decode_entry(tenant: &TenantId, payload: &Bytes) -> Result<Entry> {
    let short = || damaged("an entry is cut short");
    let (revision, rest) = payload.split_first_chunk::<8>().ok_or_else(short)?;
    let (length, _) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let revision = Revision::new(u64::from_le_bytes(*revision));
    let end = 12 + u32::from_le_bytes(*length) as usize;
    if end > payload.len() {
        return Err(short());
    }
    let bad = |damage: record::Damage| damaged(format!("the entry at {revision}: {}", damage.0));
    let change = record::decode_change(&key::change(tenant, revision), &payload[12..end]);
    let change = change.map_err(bad)?;
    let row = record::decode_row(&key::document(tenant, &change.key), payload.slice(end..));
    let row = row.map_err(bad)?;
    if row.revision != revision || row.updated_ms != change.updated_ms {
        return Err(damaged(format!("the entry at {revision} is of two writes")));
    }
    Ok(Entry { revision, change, body: row.body, expires_ms: row.expires_ms, history: None })
}
