//! Questions without an index.

use meldb::{Collection, Filter};
use rusqlite::Connection;

use crate::data::{Done, median, timed};

const ROUNDS: usize = 7;

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

/// Asks each question of both.
pub fn compare(users: &Collection, sqlite: &Connection, documents: u64) -> Done {
    println!("without an index:");
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
    let all = users.find(Filter::all()).budget(documents as usize, usize::MAX);
    let mut sorted = all.sort("-seats,name".parse::<meldb::Sort>()?);
    let (ours, page) = timed(|| Ok(sorted.page(20)?))?;
    let query = "SELECT id FROM users ORDER BY json_extract(body, '$.seats') DESC, \
         json_extract(body, '$.name') LIMIT 20";
    let (theirs, _) = timed(|| {
        let mut statement = sqlite.prepare(query)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    println!(
        "the first {} of all, sorted by two fields: {ours:.0} ms, SQLite {theirs:.0} ms, {:.1} times as fast",
        page.documents.len(),
        theirs / ours
    );
    Ok(())
}
