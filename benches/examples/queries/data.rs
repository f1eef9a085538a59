//! The documents, in both stores.

use std::{error::Error, path::Path, time::Instant};

use meldb::{Collection, JsonText, Store};
use rusqlite::{Connection, params};

pub type Done<T = ()> = Result<T, Box<dyn Error>>;

const BATCH: u64 = 500;

/// Returns a document of about 1 KB whose fields are asked for, some in front and some at the end.
pub fn text(n: u64) -> String {
    let role = ["owner", "member", "guest", "field"][(n % 4) as usize];
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = format!(r#"{{"name":"user {n}","role":"{role}""#);
    for field in 0..11 {
        text.push_str(&format!(r#","field{field}":""#));
        for _ in 0..60 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push(char::from(b'a' + (state >> 59) as u8 % 26));
        }
        text.push('"');
    }
    let (city, zip) = (["London", "Oslo", "Rome"][(n % 3) as usize], n % 1000);
    text.push_str(&format!(
        r#","address":{{"city":"{city}","zip":{zip}}},"seats":{},"number":{n}}}"#,
        n % 97
    ));
    text
}

pub fn id(n: u64) -> String {
    format!("u{n:07}")
}

pub fn timed<T>(work: impl FnOnce() -> Done<T>) -> Done<(f64, T)> {
    let began = Instant::now();
    let result = work()?;
    Ok((began.elapsed().as_secs_f64() * 1e3, result))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn fill_sqlite(path: &Path, documents: u64) -> Done<Connection> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -524288; \
         CREATE TABLE users (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    )?;
    let transaction = connection.transaction()?;
    for n in 0..documents {
        transaction.execute("INSERT INTO users VALUES (?1, ?2)", params![id(n), text(n)])?;
    }
    transaction.commit()?;
    Ok(connection)
}

pub fn fill(store: &Store, documents: u64) -> Done<Collection> {
    let tenant = store.tenant("acme")?;
    let users = tenant.collection("users")?;
    for from in (0..documents).step_by(BATCH as usize) {
        let mut batch = tenant.batch();
        for n in from..documents.min(from + BATCH) {
            batch.push(users.put(id(n), JsonText(text(n))));
        }
        batch.commit("bench")?;
    }
    store.checkpoint()?;
    Ok(users)
}
