//! SQLite, whose `json_patch` merges in an `UPDATE`.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, Row};

use super::{Durability, MEMORY_BYTES};
use crate::subject::{Backend, Reader, Write};

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS documents(id TEXT PRIMARY KEY, body TEXT NOT NULL)";
const GET: &str = "SELECT body FROM documents WHERE id = ?1";
const LIST: &str = "SELECT id, body FROM documents WHERE id > ?1 ORDER BY id LIMIT ?2";
const PUT: &str = "INSERT OR REPLACE INTO documents VALUES (?1, ?2)";
const MERGE: &str = "UPDATE documents SET body = json_patch(body, ?2) WHERE id = ?1";

/// A database of SQLite in WAL mode; reads have a connection of their own.
pub struct Sqlite {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Sqlite {
    /// Opens or creates the database in `dir`, synchronous FULL if durable and else NORMAL.
    pub fn open(dir: &Path, durability: Durability) -> Self {
        std::fs::create_dir_all(dir).expect("the directory can be made");
        let synchronous = match durability {
            Durability::Durable => "FULL",
            Durability::Buffered => "NORMAL",
        };
        let connect = || {
            let connection = Connection::open(dir.join("documents.sqlite")).expect("SQLite opens");
            // A negative size is one in KiB.
            let cache_kib = MEMORY_BYTES >> 10;
            let settings = format!(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};
                 PRAGMA cache_size=-{cache_kib}; {SCHEMA};"
            );
            connection.execute_batch(&settings).expect("SQLite takes the settings");
            Mutex::new(connection)
        };
        Self { writer: connect(), reader: connect() }
    }
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> &'a [u8] {
    row.get_ref(column).and_then(|value| Ok(value.as_bytes()?)).expect("the column holds text")
}

impl Backend for Sqlite {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let connection = self.reader.lock();
        let mut statement = connection.prepare_cached(GET).expect("SQLite prepares");
        let mut rows = statement.query([id]).expect("SQLite reads");
        let row = rows.next().expect("SQLite reads").expect("the document exists");
        reader(text(row, 0));
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        let connection = self.reader.lock();
        let mut statement = connection.prepare_cached(LIST).expect("SQLite prepares");
        let mut rows = statement.query((after, documents_max as i64)).expect("SQLite reads");
        while let Some(row) = rows.next().expect("SQLite reads") {
            reader(text(row, 1));
        }
    }

    fn compact(&self) {
        let compacted =
            self.writer.lock().execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        compacted.expect("SQLite compacts");
    }

    fn write(&self, group: &[Write]) {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction().expect("SQLite begins");
        {
            let mut put = transaction.prepare_cached(PUT).expect("SQLite prepares");
            let mut merge = transaction.prepare_cached(MERGE).expect("SQLite prepares");
            for write in group {
                let (statement, id, text) = match write {
                    Write::Put { id, body } => (&mut put, id, body),
                    Write::Merge { id, patch } => (&mut merge, id, patch),
                };
                let text = std::str::from_utf8(text).expect("JSON is UTF-8");
                assert_eq!(statement.execute((id, text)).expect("SQLite writes"), 1);
            }
        }
        transaction.commit().expect("SQLite commits");
    }
}
