//! The engine fjall without a store above it, set as the store sets it.

use std::path::Path;

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice,
};

use super::{Durability, MEMORY_BYTES, behind, key};
use crate::subject::{Backend, Reader, Write};

/// A database of fjall.
pub struct Fjall {
    keyspace: Keyspace,
    database: Database,
    durability: Durability,
}

impl Fjall {
    /// Opens or creates the database in `dir`.
    pub fn open(dir: &Path, durability: Durability) -> Self {
        let database = Database::builder(dir)
            .cache_size(MEMORY_BYTES)
            .journal_compression(CompressionType::None)
            .open()
            .expect("fjall opens");
        let keyspace = database.keyspace("meldb", KeyspaceCreateOptions::default);
        Self { keyspace: keyspace.expect("fjall has a keyspace"), database, durability }
    }

    /// Brings the database in `dir` into one state, whatever its history: all in one sorted run of
    /// tables. Half of it in memory would make reading it cheaper than reading another.
    pub fn settle(dir: &Path) {
        let fjall = Self::open(dir, Durability::Buffered);
        fjall.keyspace.rotate_memtable_and_wait().expect("fjall flushes");
        fjall.keyspace.major_compact().expect("fjall compacts");
    }

    fn entry(&self, write: &Write) -> (Vec<u8>, Slice) {
        match write {
            Write::Put { id, body } => (key(id), Slice::new(body)),
            Write::Merge { id, .. } => {
                let key = key(id);
                let body = self.keyspace.get(&key).expect("fjall reads");
                (key, Slice::new(&body.expect("the document exists")))
            }
        }
    }
}

impl Backend for Fjall {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let body = self.keyspace.get(key(id)).expect("fjall reads");
        reader(&body.expect("the document exists"));
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        let all = self.database.snapshot().range(&self.keyspace, behind(after));
        for entry in all.take(documents_max) {
            reader(&entry.value().expect("fjall reads"));
        }
    }

    fn compact(&self) {
        self.keyspace.major_compact().expect("fjall compacts");
    }

    fn write(&self, group: &[Write]) {
        // A single buffered write is an insert; fjall hands it to the operating system by itself.
        if let ([write], Durability::Buffered) = (group, self.durability) {
            let (key, body) = self.entry(write);
            return self.keyspace.insert(key, body).expect("fjall writes");
        }
        let mut batch = self.database.batch().durability(Some(match self.durability {
            Durability::Durable => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        }));
        for write in group {
            let (key, body) = self.entry(write);
            batch.insert(&self.keyspace, key, body);
        }
        batch.commit().expect("fjall writes");
    }
}
