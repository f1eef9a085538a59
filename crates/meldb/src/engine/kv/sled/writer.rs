//! Writing to sled, never with much under way.
//!
//! A batch of up to 64 KiB is one `apply_batch`, which sled recovers whole or not at all. A larger one
//! is made in steps of up to 32 KiB, each synced before the next:
//!
//! ```text
//!   S1  note that chunks from the next id on are worth nothing yet
//!   S2  write the chunks of the batch's values, and a list of all its other changes, in chunks too
//!   S3  note that the list is whole: the batch is made
//!   S4  make the changes of the list
//!   S5  note that the list is worth nothing any more; remove its chunks, then the note
//! ```
//!
//! Whoever opens the store goes on from the note: after S1 and S5 the chunks from its id on are
//! removed, after S3 the changes are made, again perhaps, which changes nothing. Readers see nothing of
//! it: a value's chunks are not read before its head is there, and the shadow has every head.

use std::{collections::BTreeMap, ops::Bound, sync::atomic::Ordering};

use bytes::Bytes;

use super::{
    super::{Batch, BatchEntry, KvError, Persist},
    Found, SledKv,
    layout::{self, Chunked, Head, Note, damaged},
    translate,
};

/// The most that is written between two syncs: batches of this size and below have survived every
/// power cut, and larger ones have not.
pub(super) const UNSYNCED_BYTES_MAX: usize = 64 << 10;
/// The most that is written in one step of a larger batch.
const STEP_BYTES_MAX: usize = 32 << 10;

/// Changes of sled's own keys that are made at once.
pub(super) type Step = Vec<BatchEntry>;

/// What the one who writes knows.
#[derive(Default)]
pub(super) struct Writer {
    /// Above the id of every chunk.
    next_id: u64,
    /// How much has been written since the last sync.
    pub(super) unsynced: usize,
    /// A batch has failed, and its outcome is unknown.
    pub(super) failed: bool,
}

impl Writer {
    /// Returns where `value` goes, and adds its chunks to `chunks` if it has any.
    fn head_of(&mut self, value: Vec<u8>, chunks: &mut Vec<BatchEntry>) -> Head {
        let value = Bytes::from(value);
        let head = Head::of(value.clone(), self.next_id);
        if let Head::Chunked(chunked) = &head {
            self.add_chunks(chunked, &value, chunks);
        }
        head
    }

    /// Returns the steps of a batch, whose chunks have the ids from `first_id` on.
    fn steps(
        &mut self,
        first_id: u64,
        mut chunks: Vec<BatchEntry>,
        changes: Vec<BatchEntry>,
    ) -> Vec<Step> {
        let text = layout::encode_list(&changes);
        let list = Chunked::of(&text, self.next_id);
        self.add_chunks(&list, &text, &mut chunks);
        let mut steps = vec![note(Some(Note::Worthless { first_id }))];
        steps.extend(steps_of(chunks));
        steps.push(note(Some(Note::Made { list })));
        steps.extend(steps_to_finish(changes, &list));
        steps
    }

    fn add_chunks(&mut self, chunked: &Chunked, value: &[u8], chunks: &mut Vec<BatchEntry>) {
        self.next_id = chunked.id + 1;
        let values = value.chunks(layout::CHUNK_BYTES).map(|chunk| Some(chunk.to_vec()));
        chunks.extend(chunked.chunk_keys().zip(values));
    }
}

impl SledKv {
    /// Finishes or takes back the batch that a crash has interrupted, and finds the next id.
    pub(super) fn recover(&self) -> Result<(), KvError> {
        let mut writer = self.writer.lock();
        let note = self.database.get(layout::NOTE_KEY).map_err(translate)?;
        match note.as_deref().map(Note::decode).transpose()? {
            None => {}
            Some(Note::Worthless { first_id }) => self.discard(&mut writer, first_id)?,
            Some(Note::Made { list }) => {
                let text = self.assemble(&list)?;
                let text =
                    text.ok_or_else(|| damaged("a part of an unfinished batch is missing"))?;
                self.take(&mut writer, steps_to_finish(layout::decode_list(&text)?, &list))?;
            }
        }
        let last_chunk = self.database.range(layout::chunk_keys()).next_back();
        let last_chunk = last_chunk.transpose().map_err(translate)?;
        let last_id = last_chunk.and_then(|(key, _)| layout::id_of_chunk_key(&key));
        writer.next_id = last_id.map_or(0, |id| id.saturating_add(1));
        Ok(())
    }

    /// Steps W1 and W2: fills the shadow, then applies the batch.
    pub(super) fn stage(&self, writer: &mut Writer, batch: Batch) -> Result<(), KvError> {
        let (steps, before) = self.plan(writer, batch)?;
        let first = steps.first().map_or(0, weight);
        if steps.len() > 1 || writer.unsynced + first > UNSYNCED_BYTES_MAX {
            self.sync(writer)?;
        }
        *self.shadow.write() = before;
        match <[Step; 1]>::try_from(steps) {
            Ok([step]) => self.apply_at_once(writer, step),
            Err(steps) => self.take(writer, steps),
        }
    }

    /// Returns the steps of a batch, one if it is small, and the values that its keys have before it.
    pub(super) fn plan(
        &self,
        writer: &mut Writer,
        batch: Batch,
    ) -> Result<(Vec<Step>, BTreeMap<Bytes, Found>), KvError> {
        let first_id = writer.next_id;
        let mut values_before = BTreeMap::new();
        let (mut chunks, mut heads, mut removals) = (Step::new(), Step::new(), Step::new());
        for (key, value) in batch.into_entries() {
            let head_key = layout::head_key(&key);
            let replaced = self.database.get(&head_key).map_err(translate)?;
            // A head that cannot be read leads to no chunks: they stay behind, unreachable.
            if let Some(Ok(Head::Chunked(old))) = replaced.as_deref().map(Head::decode) {
                removals.extend(old.chunk_keys().map(|key| (key, None)));
            }
            let before = if replaced.is_some() { self.read(&key) } else { Ok(None) };
            values_before.insert(Bytes::from(key), before);
            let head = value.map(|value| writer.head_of(value, &mut chunks).encode());
            heads.push((head_key, head));
        }
        heads.append(&mut removals);
        let steps = match weight(&chunks) + weight(&heads) {
            0..=UNSYNCED_BYTES_MAX => vec![[chunks, heads].concat()],
            _ => writer.steps(first_id, chunks, heads),
        };
        Ok((steps, values_before))
    }

    /// Steps W3 and W4: makes everything applied so far as durable as asked, then shows it.
    pub(super) fn settle(&self, writer: &mut Writer, persist: Persist) -> Result<(), KvError> {
        match persist {
            Persist::Sync => self.sync(writer)?,
            Persist::Buffer => self.flusher.flush()?,
        }
        let mut shadow = self.shadow.write();
        self.settled.fetch_add(1, Ordering::SeqCst);
        shadow.clear();
        Ok(())
    }

    fn sync(&self, writer: &mut Writer) -> Result<(), KvError> {
        self.flusher.flush()?;
        self.file.sync_data()?;
        writer.unsynced = 0;
        Ok(())
    }

    fn apply_at_once(&self, writer: &mut Writer, changes: Step) -> Result<(), KvError> {
        writer.unsynced += weight(&changes);
        let mut batch = ::sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.database.apply_batch(batch).map_err(translate)
    }

    /// Removes all chunks from an id on, and then the note that says they are worth nothing.
    fn discard(&self, writer: &mut Writer, first_id: u64) -> Result<(), KvError> {
        let first = Bound::Included(layout::chunk_key(first_id, 0));
        let keys = self.database.range((first, layout::chunk_keys().1)).keys();
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(translate)?;
        let removals = keys.iter().map(|key| (key.to_vec(), None));
        let mut steps = steps_of(removals);
        steps.push(note(None));
        self.take(writer, steps)
    }

    /// Takes steps, and syncs after each.
    pub(super) fn take(&self, writer: &mut Writer, steps: Vec<Step>) -> Result<(), KvError> {
        for step in steps {
            self.apply_at_once(writer, step)?;
            self.sync(writer)?;
        }
        Ok(())
    }
}

/// Returns the steps S4 and S5.
fn steps_to_finish(changes: Vec<BatchEntry>, list: &Chunked) -> Vec<Step> {
    let mut steps = steps_of(changes);
    steps.push(note(Some(Note::Worthless { first_id: list.id })));
    steps.extend(steps_of(list.chunk_keys().map(|key| (key, None))));
    steps.push(note(None));
    steps
}

fn note(note: Option<Note>) -> Step {
    vec![(layout::NOTE_KEY.to_vec(), note.map(|note| note.encode()))]
}

/// Returns changes in their order, as many in each step as may be under way at once.
fn steps_of(changes: impl IntoIterator<Item = BatchEntry>) -> Vec<Step> {
    let (mut steps, mut bytes) = (Vec::<Step>::new(), 0);
    for change in changes {
        let more = weight_of(&change);
        match steps.last_mut() {
            Some(step) if bytes + more <= STEP_BYTES_MAX => {
                bytes += more;
                step.push(change);
            }
            _ => {
                bytes = more;
                steps.push(vec![change]);
            }
        }
    }
    steps
}

/// Returns about how much sled writes for some changes.
fn weight(changes: &Step) -> usize {
    changes.iter().map(weight_of).sum()
}

fn weight_of((key, value): &BatchEntry) -> usize {
    const LINK_BYTES: usize = 64;
    let value = match value {
        Some(value) => value.len(),
        // The chunks beside it are written anew.
        None if layout::id_of_chunk_key(key).is_some() => layout::CHUNK_BYTES,
        None => 0,
    };
    LINK_BYTES + key.len() + value
}
