//! Questions that an index answers; SQLite has an index of the same expression.

use std::{thread, time::Instant};

use meldb::{Collection, Filter, Index, Sort, field};
use rusqlite::{Connection, params};

use crate::data::{Done, median, timed};

const ROUNDS: usize = 7;
/// How often a question of some microseconds is asked in one round.
const ASKED: u64 = 500;

/// Defines the indexes of both, and says how long it takes beside two writers and without.
pub fn define(users: &Collection, sqlite: &Connection, documents: u64) -> Done {
    let rate = |seconds: f64| -> Done<f64> {
        let (began, mut written) = (Instant::now(), 0_u64);
        while began.elapsed().as_secs_f64() < seconds {
            let id = crate::data::id(written * 7919 % documents);
            users.merge(id, serde_json::json!({"visits": written})).commit("bench")?;
            written += 1;
        }
        Ok(written as f64 / began.elapsed().as_secs_f64())
    };
    let before = rate(2.0)?;
    users.define_index("by_name", Index::on("name")).commit("bench")?;
    let (time, ready) = timed(|| Ok(users.wait_for_indexes(std::time::Duration::from_secs(600))))?;
    assert!(ready, "{:?}", users.indexes());
    users.define_index("by_number", Index::on("number")).commit("bench")?;
    let (beside, slowed) = thread::scope(|scope| -> Done<(f64, f64)> {
        let writer = scope.spawn(|| {
            let (began, mut written) = (Instant::now(), 0_u64);
            while users.indexes().iter().any(|index| index.state != meldb::IndexState::Ready) {
                for _ in 0..100 {
                    let id = crate::data::id(written * 7919 % documents);
                    let patch = serde_json::json!({"visits": written});
                    users.merge(id, patch).commit("bench").expect("merged");
                    written += 1;
                }
            }
            written as f64 / began.elapsed().as_secs_f64()
        });
        let (time, _) = timed(|| Ok(users.wait_for_indexes(std::time::Duration::from_secs(600))))?;
        Ok((time, writer.join().expect("it ends")))
    })?;
    users.define_index("by_role", Index::on("role").then("seats")).commit("bench")?;
    users.wait_for_indexes(std::time::Duration::from_secs(600));
    println!(
        "an index of {documents} documents: {:.1} s, beside a writer {:.1} s, which writes at {:.2} of its rate",
        time / 1e3,
        beside / 1e3,
        slowed / before
    );
    let (theirs, ()) = timed(|| {
        Ok(sqlite.execute_batch("CREATE INDEX by_name ON users (json_extract(body, '$.name'))")?)
    })?;
    println!("the same in SQLite, without writers: {:.1} s", theirs / 1e3);
    sqlite.execute_batch(
        "CREATE INDEX by_number ON users (json_extract(body, '$.number')); \
         CREATE INDEX by_role ON users (json_extract(body, '$.role'), json_extract(body, '$.seats')); \
         ANALYZE",
    )?;
    Ok(())
}

/// A question, asked with numbers that differ.
struct Question {
    name: &'static str,
    asked: u64,
    ours: fn(&Collection, u64) -> Done<usize>,
    theirs: fn(&Connection, u64) -> Done<usize>,
}

fn texts(sqlite: &Connection, query: &str, values: impl rusqlite::Params) -> Done<usize> {
    let mut statement = sqlite.prepare_cached(query)?;
    let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.len())
}

const QUESTIONS: [Question; 5] = [
    Question {
        name: "one document by a field",
        asked: ASKED,
        ours: |users, n| {
            let name = field("name").eq(format!("user {n}"));
            Ok(users.find(name).page(10)?.documents.len())
        },
        theirs: |sqlite, n| {
            let query = "SELECT body FROM users WHERE json_extract(body, '$.name') = ?1 LIMIT 10";
            texts(sqlite, query, params![format!("user {n}")])
        },
    },
    Question {
        name: "a range of 100 documents, in its order",
        asked: ASKED / 10,
        ours: |users, n| {
            let range = field("number").ge(n).and(field("number").lt(n + 100));
            Ok(users.find(range).sort("number".parse::<Sort>()?).page(200)?.documents.len())
        },
        theirs: |sqlite, n| {
            let query = "SELECT body FROM users WHERE json_extract(body, '$.number') >= ?1 \
                AND json_extract(body, '$.number') < ?2 ORDER BY json_extract(body, '$.number')";
            texts(sqlite, query, params![n as i64, n as i64 + 100])
        },
    },
    Question {
        name: "the 20 last ones of an order",
        asked: ASKED / 5,
        ours: |users, _| {
            let all = users.find(Filter::all()).sort("-number".parse::<Sort>()?);
            Ok(all.clone().page(20)?.documents.len())
        },
        theirs: |sqlite, _| {
            let query =
                "SELECT body FROM users ORDER BY json_extract(body, '$.number') DESC LIMIT 20";
            texts(sqlite, query, [])
        },
    },
    Question {
        name: "the 20 first of a quarter, in another field's order",
        asked: ASKED / 5,
        ours: |users, _| {
            let owners = users.find(field("role").eq("owner")).sort("seats".parse::<Sort>()?);
            Ok(owners.clone().page(20)?.documents.len())
        },
        theirs: |sqlite, _| {
            let query = "SELECT body FROM users WHERE json_extract(body, '$.role') = 'owner' \
                ORDER BY json_extract(body, '$.seats'), id LIMIT 20";
            texts(sqlite, query, [])
        },
    },
    Question {
        name: "counting a quarter",
        asked: 1,
        ours: |users, _| Ok(users.find(field("role").eq("owner")).count()? as usize),
        theirs: |sqlite, _| {
            let query = "SELECT count(*) FROM users WHERE json_extract(body, '$.role') = 'owner'";
            Ok(sqlite.query_row(query, [], |row| row.get::<_, i64>(0))? as usize)
        },
    },
];

/// Asks each question of both: at first, when not all of it is in memory, and then again and again.
pub fn compare(users: &Collection, sqlite: &Connection, documents: u64) -> Done {
    println!("by an index:");
    for Question { name, asked, ours, theirs } in QUESTIONS {
        let (mut times, mut other_times, mut found) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            // In each round the same ones.
            let numbers = || (0..asked).map(|number| number * 7919 % (documents - 200));
            let (time, count) = timed(|| numbers().map(|n| ours(users, n)).sum::<Done<usize>>())?;
            let (other_time, other) =
                timed(|| numbers().map(|n| theirs(sqlite, n)).sum::<Done<usize>>())?;
            assert_eq!(count, other, "{name}");
            found = count / asked as usize;
            times.push(time / asked as f64);
            other_times.push(other_time / asked as f64);
        }
        let (first, first_other) = (times[0], other_times[0]);
        let (ours, theirs) = (median(times), median(other_times));
        println!(
            "{name}: {found} found, {:.1} µs, SQLite {:.1} µs, {:.1} times as fast; at first {:.1} and {:.1} µs",
            ours * 1e3,
            theirs * 1e3,
            theirs / ours,
            first * 1e3,
            first_other * 1e3,
        );
    }
    Ok(())
}
