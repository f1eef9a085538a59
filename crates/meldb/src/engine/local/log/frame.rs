//! The bytes of a record.
//!
//! ```text
//! check  length  sequence  synced  checksum  payload  zeros
//!   4      4        8        8        8         …     to a multiple of 8
//! ```
//!
//! Integers are little-endian. With *h* = XXH3-64 over the record's offset in the file (8 bytes)
//! and the fields `length`, `sequence`, `synced` (20 bytes), seeded with the file's seed, `check` is
//! the low half of *h*, and `checksum` the XXH3-64 of the payload with *h* as its seed. The file's
//! seed is the XXH3-64 of the store's id and the file's number. So a record holds in one place of one
//! file of one store, in one of the lives of that file.
//!
//! `check` is there so that a search for records at every offset reads payloads only where there is
//! one.

use twox_hash::XxHash3_64;

use crate::store_id::StoreId;

/// The bytes before the payload.
pub(super) const FRAME_BYTES: usize = 32;
/// What the offset of every record is a multiple of.
pub(super) const ALIGNMENT: u64 = 8;
/// The longest payload: 1 GiB.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// What the checksums of a file are seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSeed(u64);

impl FileSeed {
    pub(super) fn new(store: StoreId, number: u64) -> Self {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&store.to_bytes());
        #[cfg(test)]
        let number = if super::tests::planted::SEED_WITHOUT_NUMBER.get() { 0 } else { number };
        bytes[16..].copy_from_slice(&number.to_le_bytes());
        Self(XxHash3_64::oneshot(&bytes))
    }
}

/// The fields before a payload, whose `check` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The length of the payload in bytes.
    pub(super) payload_bytes: usize,
    /// The number of the record.
    pub(super) sequence: u64,
    /// Every record up to this one was on stable storage when this record was written.
    pub(super) synced: u64,
    hash: u64,
    checksum: u64,
}

impl Frame {
    /// Reads the fields that lie at `offset`; `None` if there is no record.
    pub(super) fn decode(seed: FileSeed, offset: u64, bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FRAME_BYTES] = bytes.get(..FRAME_BYTES)?.try_into().ok()?;
        let payload_bytes = u32_at(bytes, 4) as usize;
        let (sequence, synced) = (u64_at(bytes, 8), u64_at(bytes, 16));
        // Also what zeros are, and most of what is no record: a search is done with them here.
        if synced >= sequence || payload_bytes > PAYLOAD_BYTES_MAX {
            return None;
        }
        let hash = hash(seed, offset, &bytes[4..24]);
        let checksum = u64_at(bytes, 24);
        let frame = Self { payload_bytes, sequence, synced, hash, checksum };
        (u32_at(bytes, 0) == hash as u32).then_some(frame)
    }

    /// Returns whether `payload` is what was written.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes
            && XxHash3_64::oneshot_with_seed(self.hash, payload) == self.checksum
    }

    /// Returns the length of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        record_bytes(self.payload_bytes)
    }
}

/// Returns the length of a record with a payload of `payload_bytes`.
pub(super) fn record_bytes(payload_bytes: usize) -> u64 {
    ((FRAME_BYTES + payload_bytes) as u64).next_multiple_of(ALIGNMENT)
}

/// Puts the record for `offset` into `buffer`, in place of what is there. A payload is
/// [`PAYLOAD_BYTES_MAX`] long at most.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    seed: FileSeed,
    offset: u64,
    (sequence, synced): (u64, u64),
    payload: &[u8],
) {
    let mut fields = [0; 20];
    fields[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    fields[4..12].copy_from_slice(&sequence.to_le_bytes());
    fields[12..].copy_from_slice(&synced.to_le_bytes());
    let hash = hash(seed, offset, &fields);
    let checksum = XxHash3_64::oneshot_with_seed(hash, payload);
    buffer.clear();
    buffer.reserve(record_bytes(payload.len()) as usize);
    buffer.extend_from_slice(&(hash as u32).to_le_bytes());
    buffer.extend_from_slice(&fields);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(payload);
    buffer.resize(record_bytes(payload.len()) as usize, 0);
}

fn hash(seed: FileSeed, offset: u64, fields: &[u8]) -> u64 {
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(fields);
    XxHash3_64::oneshot_with_seed(seed.0, &bytes)
}

fn u32_at(bytes: &[u8; FRAME_BYTES], at: usize) -> u32 {
    let mut integer = [0; 4];
    integer.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(integer)
}

fn u64_at(bytes: &[u8; FRAME_BYTES], at: usize) -> u64 {
    let mut integer = [0; 8];
    integer.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(integer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STORE: StoreId = StoreId::from_bytes([7; 16]);

    fn read(seed: FileSeed, offset: u64, bytes: &[u8]) -> Option<(u64, u64, Vec<u8>)> {
        let frame = Frame::decode(seed, offset, bytes)?;
        let payload = bytes.get(FRAME_BYTES..FRAME_BYTES + frame.payload_bytes)?;
        frame.matches(payload).then(|| (frame.sequence, frame.synced, payload.to_vec()))
    }

    proptest! {
        #[test]
        fn a_record_reads_back_in_its_place_and_nowhere_else(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            sequence in 1..u64::MAX, behind in 1..=1000_u64, number: u64, offset: u64,
        ) {
            let synced = sequence.saturating_sub(behind);
            let seed = FileSeed::new(STORE, number);
            let mut bytes = Vec::new();
            encode(&mut bytes, seed, offset, (sequence, synced), &payload);
            prop_assert_eq!(bytes.len() as u64, record_bytes(payload.len()));
            prop_assert_eq!(bytes.len() as u64 % ALIGNMENT, 0);
            prop_assert_eq!(read(seed, offset, &bytes), Some((sequence, synced, payload)));
            prop_assert_eq!(read(seed, offset ^ 8, &bytes), None);
            prop_assert_eq!(read(FileSeed::new(STORE, number ^ 1), offset, &bytes), None);
            let other = FileSeed::new(StoreId::from_bytes([8; 16]), number);
            prop_assert_eq!(read(other, offset, &bytes), None);
        }

        #[test]
        fn any_flipped_bit_and_any_cut_is_no_record(
            payload in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index,
        ) {
            let seed = FileSeed::new(STORE, 3);
            let mut good = Vec::new();
            encode(&mut good, seed, 4096, (9, 8), &payload);
            good.truncate(FRAME_BYTES + payload.len());
            let bit = at.index(good.len() * 8);
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(seed, 4096, &flipped), None);
            prop_assert_eq!(read(seed, 4096, &good[..bit / 8]), None);
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Frame::decode(FileSeed::new(STORE, 1), 4096, &[0; 64]), None);
    }
}
