//! The engine redb.

use std::path::Path;

use redb::{Database, Durability as Sync, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Durability, MEMORY_BYTES, behind, key};
use crate::subject::{Backend, Reader, Write};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("documents");

/// A database of redb; its buffered writes stay in the process's memory.
pub struct Redb {
    database: Database,
    durability: Durability,
}

impl Redb {
    /// Opens or creates the database in `dir`.
    pub fn open(dir: &Path, durability: Durability) -> Self {
        std::fs::create_dir_all(dir).expect("the directory can be made");
        let mut builder = Database::builder();
        let database =
            builder.set_cache_size(MEMORY_BYTES as usize).create(dir.join("documents.redb"));
        let redb = Self { database: database.expect("redb opens"), durability };
        redb.write(&[]);
        redb
    }
}

impl Backend for Redb {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let transaction = self.database.begin_read().expect("redb begins");
        let table = transaction.open_table(TABLE).expect("redb has the table");
        let body = table.get(key(id).as_slice()).expect("redb reads");
        reader(body.expect("the document exists").value());
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        let (start, end) = behind(after);
        let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let transaction = self.database.begin_read().expect("redb begins");
        let table = transaction.open_table(TABLE).expect("redb has the table");
        for entry in table.range::<&[u8]>(range).expect("redb reads").take(documents_max) {
            reader(entry.expect("redb reads").1.value());
        }
    }

    fn write(&self, group: &[Write]) {
        let mut transaction = self.database.begin_write().expect("redb begins");
        let sync = match self.durability {
            Durability::Durable => Sync::Immediate,
            Durability::Buffered => Sync::None,
        };
        transaction.set_durability(sync).expect("redb takes the setting");
        {
            let mut table = transaction.open_table(TABLE).expect("redb has the table");
            for write in group {
                match write {
                    Write::Put { id, body } => {
                        table.insert(key(id).as_slice(), body.as_slice()).expect("redb writes");
                    }
                    Write::Merge { id, .. } => {
                        let key = key(id);
                        let body = table.get(key.as_slice()).expect("redb reads");
                        let body = body.expect("the document exists").value().to_vec();
                        table.insert(key.as_slice(), body.as_slice()).expect("redb writes");
                    }
                }
            }
        }
        transaction.commit().expect("redb commits");
    }
}
