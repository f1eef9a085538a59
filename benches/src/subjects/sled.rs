//! The engine sled without a store above it.

use std::{
    fs::{File, OpenOptions},
    path::Path,
    thread,
    time::Duration,
};

use sled::{Batch, Config, Db, Mode};

use super::{Durability, MEMORY_BYTES, behind, key};
use crate::subject::{Backend, Reader, Write};

/// A database of sled, flushed and synced as the store does it.
pub struct Sled {
    database: Db,
    file: File,
    durability: Durability,
}

impl Sled {
    /// Opens or creates the database in `dir`.
    pub fn open(dir: &Path, durability: Durability) -> Self {
        let config = Config::new()
            .path(dir)
            .mode(Mode::LowSpace)
            .cache_capacity(MEMORY_BYTES)
            .use_compression(false)
            .flush_every_ms(None);
        // A store that was just closed may hold its lock for a moment longer.
        let database = (0..1_000).find_map(|_| {
            let opened = config.open();
            opened.map_err(|_| thread::sleep(Duration::from_millis(1))).ok()
        });
        let database = database.expect("sled opens");
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db"));
        Self { database, file: file.expect("sled has a db file"), durability }
    }
}

impl Backend for Sled {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let body = self.database.get(key(id)).expect("sled reads");
        reader(&body.expect("the document exists"));
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        for body in self.database.range(behind(after)).values().take(documents_max) {
            reader(&body.expect("sled reads"));
        }
    }

    fn write(&self, group: &[Write]) {
        let mut batch = Batch::default();
        for write in group {
            match write {
                Write::Put { id, body } => batch.insert(key(id), body.as_slice()),
                Write::Merge { id, .. } => {
                    let key = key(id);
                    let body = self.database.get(&key).expect("sled reads");
                    batch.insert(key, body.expect("the document exists").to_vec());
                }
            }
        }
        self.database.apply_batch(batch).expect("sled writes");
        self.database.flush().expect("sled flushes");
        if self.durability == Durability::Durable {
            self.file.sync_data().expect("sled's file can be synced");
        }
    }
}
