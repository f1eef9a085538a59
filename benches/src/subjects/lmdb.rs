//! LMDB, through the binding whose interface is safe.

use std::path::Path;

use lmdb::{Cursor, Database, Environment, EnvironmentFlags, Transaction, WriteFlags};

use super::{Durability, key};
use crate::subject::{Backend, Reader, Write};

/// A database of LMDB.
pub struct Lmdb {
    environment: Environment,
    database: Database,
}

impl Lmdb {
    /// Opens or creates the database in `dir`, with `MDB_NOSYNC` if buffered.
    pub fn open(dir: &Path, durability: Durability) -> Self {
        std::fs::create_dir_all(dir).expect("the directory can be made");
        let flags = match durability {
            Durability::Durable => EnvironmentFlags::empty(),
            Durability::Buffered => EnvironmentFlags::NO_SYNC,
        };
        let mut builder = Environment::new();
        let environment = builder.set_map_size(8 << 30).set_flags(flags).open(dir);
        let environment = environment.expect("LMDB opens");
        let database = environment.open_db(None).expect("LMDB has a database");
        Self { environment, database }
    }
}

impl Backend for Lmdb {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let transaction = self.environment.begin_ro_txn().expect("LMDB begins");
        reader(transaction.get(self.database, &key(id)).expect("the document exists"));
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        // LMDB starts at a key: the next one after `after` is this, with a byte more.
        let start = [key(after), vec![0]].concat();
        let transaction = self.environment.begin_ro_txn().expect("LMDB begins");
        let mut cursor = transaction.open_ro_cursor(self.database).expect("LMDB reads");
        for entry in cursor.iter_from(start).take(documents_max) {
            reader(entry.expect("LMDB reads").1);
        }
    }

    fn write(&self, group: &[Write]) {
        let mut transaction = self.environment.begin_rw_txn().expect("LMDB begins");
        for write in group {
            let (key, body) = match write {
                Write::Put { id, body } => (key(id), body.clone()),
                Write::Merge { id, .. } => {
                    let key = key(id);
                    let body = transaction.get(self.database, &key);
                    let body = body.expect("the document exists").to_vec();
                    (key, body)
                }
            };
            let written = transaction.put(self.database, &key, &body, WriteFlags::empty());
            written.expect("LMDB writes");
        }
        transaction.commit().expect("LMDB commits");
    }
}
