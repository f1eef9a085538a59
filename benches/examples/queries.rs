//! Prints how fast questions without an index are answered, beside SQLite, in turns, as ratios of one run.
//!
//! ```text
//! cargo run --release -p meldb-bench --features peers --example queries
//! ```
//!
//! 100,000 documents of 1 KB. SQLite has them in a table of id and text, and asks with `json_extract`; both stores are
//! filled before and read from files, with room for all of it in memory.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{error::Error, time::Instant};

use meldb::{Collection, Durability, Filter, JsonText, Store};
use rusqlite::{Connection, params};

type Done<T = ()> = Result<T, Box<dyn Error>>;

const DOCUMENTS: u64 = 100_000;
const BATCH: u64 = 500;
const ROUNDS: usize = 7;

/// Returns a document of about 1 KB whose fields are asked for, some in front and some at the end.
fn text(n: u64) -> String {
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
    text.push_str(&format!(r#","address":{{"city":"{city}","zip":{zip}}},"seats":{}}}"#, n % 97));
    text
}

fn id(n: u64) -> String {
    format!("u{n:06}")
}

/// A question in both languages.
struct Question {
    name: &'static str,
    filter: &'static str,
    condition: &'static str,
}

const QUESTIONS: [Question; 4] = [
    Question {
        name: "count, a string in front",
        filter: r#"role = "owner""#,
        condition: "json_extract(body, '$.role') = 'owner'",
    },
    Question {
        name: "count, a number at the end",
        filter: "seats >= 90",
        condition: "json_extract(body, '$.seats') >= 90",
    },
    Question {
        name: "count, a nested field",
        filter: r#"address.city = "Oslo""#,
        condition: "json_extract(body, '$.address.city') = 'Oslo'",
    },
    Question {
        name: "count, three fields",
        filter: r#"role in ["owner","guest"] and seats < 50 and address.zip < 500"#,
        condition: "json_extract(body, '$.role') IN ('owner', 'guest') \
            AND json_extract(body, '$.seats') < 50 AND json_extract(body, '$.address.zip') < 500",
    },
];

fn timed<T>(work: impl FnOnce() -> Done<T>) -> Done<(f64, T)> {
    let began = Instant::now();
    let result = work()?;
    Ok((began.elapsed().as_secs_f64() * 1e3, result))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn fill_sqlite(path: &std::path::Path) -> Done<Connection> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -524288; \
         CREATE TABLE users (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    )?;
    let transaction = connection.transaction()?;
    for n in 0..DOCUMENTS {
        transaction.execute("INSERT INTO users VALUES (?1, ?2)", params![id(n), text(n)])?;
    }
    transaction.commit()?;
    Ok(connection)
}

fn fill(store: &Store) -> Done<Collection> {
    let tenant = store.tenant("acme")?;
    let users = tenant.collection("users")?;
    for from in (0..DOCUMENTS).step_by(BATCH as usize) {
        let mut batch = tenant.batch();
        for n in from..from + BATCH {
            batch.push(users.put(id(n), JsonText(text(n))));
        }
        batch.commit("bench")?;
    }
    store.checkpoint()?;
    Ok(users)
}

fn main() -> Done {
    let dir = tempfile::tempdir()?;
    let builder = Store::builder().durability(Durability::Buffered).memory_bytes(512 << 20);
    let store = builder.open(dir.path().join("meldb"))?;
    let users = fill(&store)?;
    let sqlite = fill_sqlite(&dir.path().join("sqlite"))?;
    for Question { name, filter, condition } in QUESTIONS {
        let filter: Filter = filter.parse()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut count = 0;
        for _ in 0..ROUNDS {
            let (time, counted) = timed(|| Ok(users.find(filter.clone()).count()?))?;
            ours.push(time);
            count = counted;
            let query = format!("SELECT count(*) FROM users WHERE {condition}");
            let (time, counted) =
                timed(|| Ok(sqlite.query_row(&query, [], |row| row.get::<_, i64>(0))?))?;
            theirs.push(time);
            assert_eq!(counted as u64, count, "{name}");
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{name}: {count} found, {ours:.0} ms, SQLite {theirs:.0} ms, {:.1} times as fast",
            theirs / ours
        );
    }
    let mut sorted = users.find(Filter::all()).sort("-seats,name".parse::<meldb::Sort>()?);
    let (time, page) = timed(|| Ok(sorted.page(20)?))?;
    println!("the first {} of all, sorted by two fields: {time:.0} ms", page.documents.len());
    let query = "SELECT id FROM users ORDER BY json_extract(body, '$.seats') DESC, \
         json_extract(body, '$.name') LIMIT 20";
    let (time, _) = timed(|| {
        let mut statement = sqlite.prepare(query)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    println!("the same in SQLite: {time:.0} ms");
    Ok(())
}
