//! What a store must do to be measured, and two ways to write to a storage engine: each write
//! alone, or in groups behind the store's own committer.

use std::sync::Arc;

use crate::{
    lane::{Commit, CommitQueue, Done},
    queue::Weight,
};

/// Takes the text of a document that was read.
pub type Reader<'a> = &'a mut dyn FnMut(&[u8]);

/// A store under measurement, which many threads may use at once.
pub trait Subject: Send + Sync {
    /// Reads a document, which exists.
    fn get(&self, id: &str, reader: Reader<'_>);

    /// Reads `documents_max` documents in id order, from the one behind `after` on.
    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>);

    /// Creates or replaces a document.
    fn put(&self, id: &str, body: &[u8]);

    /// Changes one document, which exists; a storage engine that knows no merging reads the
    /// document and writes the same bytes again.
    fn merge(&self, id: &str, patch: &[u8]);

    /// Changes several documents as [`merge`](Self::merge) does, all of them or none.
    fn merge_all(&self, ids: &[&str], patch: &[u8]);

    /// Gives back the space of what is no longer alive, where a user can ask for that.
    fn compact(&self);

    /// Stores many documents, as fast as the subject can.
    fn load(&self, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>);
}

/// A storage engine that is not [`MelDb`](crate::subjects::meldb::MelDb).
pub trait Backend: Send + Sync + 'static {
    /// As [`Subject::get`].
    fn get(&self, id: &str, reader: Reader<'_>);

    /// As [`Subject::list`].
    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>);

    /// As [`Subject::compact`].
    fn compact(&self) {}

    /// Makes all the writes in one transaction, as durable as the engine was opened to be.
    fn write(&self, group: &[Write]);
}

/// One write of a group.
pub enum Write {
    /// As [`Subject::put`].
    Put {
        /// The document's id.
        id: String,
        /// Its text.
        body: Vec<u8>,
    },
    /// As [`Subject::merge`].
    Merge {
        /// The document's id.
        id: String,
        /// The patch to merge into it.
        patch: Vec<u8>,
    },
}

impl Write {
    fn put(id: &str, body: &[u8]) -> Self {
        Self::Put { id: id.to_owned(), body: body.to_owned() }
    }

    fn merge(id: &str, patch: &[u8]) -> Self {
        Self::Merge { id: id.to_owned(), patch: patch.to_owned() }
    }

    fn merges(ids: &[&str], patch: &[u8]) -> Vec<Self> {
        ids.iter().map(|id| Self::merge(id, patch)).collect()
    }
}

/// A storage engine that makes one transaction of every write.
pub struct Alone<B>(pub B);

impl<B: Backend> Subject for Alone<B> {
    fn get(&self, id: &str, reader: Reader<'_>) {
        self.0.get(id, reader);
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        self.0.list(after, documents_max, reader);
    }

    fn put(&self, id: &str, body: &[u8]) {
        self.0.write(&[Write::put(id, body)]);
    }

    fn merge(&self, id: &str, patch: &[u8]) {
        self.0.write(&[Write::merge(id, patch)]);
    }

    fn merge_all(&self, ids: &[&str], patch: &[u8]) {
        self.0.write(&Write::merges(ids, patch));
    }

    fn compact(&self) {
        self.0.compact();
    }

    fn load(&self, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>) {
        load(&self.0, documents);
    }
}

/// A storage engine behind the store's own group committer.
pub struct Grouped<B: Backend> {
    lane: CommitQueue<Committer<B>>,
    backend: Arc<B>,
}

struct Committer<B>(Arc<B>);

impl<B: Backend> Commit for Committer<B> {
    type Write = Write;
    type Answer = ();

    /// There is one tenant.
    type Owner = ();

    fn commit(&self, group: Vec<Write>) -> Vec<Done<Write, ()>> {
        self.0.write(&group);
        group.iter().map(|_| Done::Answered(())).collect()
    }

    fn owner(_: &Write) {}

    fn weight(write: &Write) -> Weight {
        let (Write::Put { body: text, .. } | Write::Merge { patch: text, .. }) = write;
        Weight { writes: 1, bytes: text.len(), work: 0 }
    }

    fn refuse(_: Write) {
        unreachable!("only futures are refused");
    }
}

impl<B: Backend> Grouped<B> {
    /// Puts the committer before `backend`.
    pub fn new(backend: B) -> Self {
        let backend = Arc::new(backend);
        let committer = Arc::new(Committer(Arc::clone(&backend)));
        Self { lane: CommitQueue::new(committer, "group".to_owned()), backend }
    }

    fn write(&self, write: Write) {
        self.lane.write(write).expect("no write panics");
    }
}

impl<B: Backend> Subject for Grouped<B> {
    fn get(&self, id: &str, reader: Reader<'_>) {
        self.backend.get(id, reader);
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        self.backend.list(after, documents_max, reader);
    }

    fn put(&self, id: &str, body: &[u8]) {
        self.write(Write::put(id, body));
    }

    fn merge(&self, id: &str, patch: &[u8]) {
        self.write(Write::merge(id, patch));
    }

    /// A transaction of its own: the committer does not keep the writes of one caller together.
    fn merge_all(&self, ids: &[&str], patch: &[u8]) {
        self.backend.write(&Write::merges(ids, patch));
    }

    fn compact(&self) {
        self.backend.compact();
    }

    fn load(&self, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>) {
        load(&*self.backend, documents);
    }
}

fn load(backend: &impl Backend, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>) {
    loop {
        let group = documents.take(1_000).map(|(id, body)| Write::Put { id, body });
        let group: Vec<Write> = group.collect();
        if group.is_empty() {
            return;
        }
        backend.write(&group);
    }
}
