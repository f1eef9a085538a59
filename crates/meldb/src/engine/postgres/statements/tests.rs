//! The statements against what every system of the protocol takes.

use super::{insert::INSERT_SIZES, *};

/// Every statement that reads or writes documents, but for [`inserts`].
const STATEMENTS: &[&str] = &[
    FORMAT,
    GET,
    SCAN,
    SCAN_BACK,
    NEXT_COLLECTION,
    COLLECTION_TOTALS,
    CHANGES,
    ENTRIES,
    WALK,
    HEAD,
    HEADS,
    HEADS_OF_ONE,
    TENANTS,
    HOLD,
    HOLD_OF_ONE,
    HOLD_ONE,
    NEW_HEADS,
    NEW_HEAD,
    NEW_ROWS,
    GROUP_ROWS,
    GROUP_ROWS_OF_ONE,
    GROUP_TRACES,
    GROUP_TRACES_OF_ONE,
    COMMIT_GROUP,
    COMMIT_GROUP_OF_ONE,
    COMMIT_HISTORY,
    COMMIT_HISTORY_OF_ONE,
    TOMBSTONES,
    REMOVE_TOMBSTONES,
    REMOVE_REVISIONS,
    TO_ERASE,
    SET_HEAD,
    COUNT_TOMBSTONES,
    SET_FORMAT,
    CHANGE_FORMAT,
    EMPTY,
    EXPIRED,
    WALK_TENANT,
    ORPHAN,
    HISTORY_AT,
    HISTORY_AFTER,
    HISTORY_OF_DOCUMENT,
    WALK_HISTORY,
    WALK_TENANT_HISTORY,
    REMOVE_HISTORY,
];

/// Statements that are of many tenants at a time: those of groups on one server, and those that look over
/// everything.
const OF_MANY: &[&str] = &[
    FORMAT,
    WALK,
    HEADS,
    TENANTS,
    HOLD,
    NEW_HEADS,
    NEW_ROWS,
    GROUP_ROWS,
    GROUP_TRACES,
    COMMIT_GROUP,
    COMMIT_HISTORY,
    TOMBSTONES,
    EXPIRED,
    SET_FORMAT,
    CHANGE_FORMAT,
    EMPTY,
    ORPHAN,
    WALK_HISTORY,
];

/// Every insert that is written out, in every size.
fn inserts() -> Vec<&'static str> {
    let sizes = (0..INSERT_SIZES).map(|size| 1 << size);
    sizes
        .flat_map(|rows| [NEW_ROWS_OF_ONE.of(rows), PUT_ROWS.of(rows), PUT_HISTORY.of(rows)])
        .collect()
}

fn all() -> impl Iterator<Item = &'static str> {
    STATEMENTS.iter().copied().chain(inserts())
}

/// The functions that a statement may call: none is volatile, none is PostgreSQL's alone.
const FUNCTIONS: &[&str] =
    &["unnest", "count", "sum", "max", "coalesce", "octet_length", "array_agg", "any", "cast"];

/// Words that come before a parenthesis and call nothing.
const WORDS: &[&str] = &[
    "from",
    "as",
    "over",
    "where",
    "and",
    "or",
    "in",
    "values",
    "select",
    "conflict",
    "limit",
    "on",
    "then",
    "set",
    ">",
    "<=",
    "doc",
    "format",
    "history",
    "exists",
    "d",
    "feed_head",
    "t",
    "w",
    "k",
    "head",
    "heads",
    "materialized",
    "join",
];

fn words(statement: &str) -> Vec<String> {
    let spaced = statement.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

#[test]
fn every_function_is_on_the_list() {
    for statement in all() {
        let words = words(statement);
        for pair in words.windows(2) {
            let [before, parenthesis] = pair else { continue };
            if parenthesis != "(" || before == "(" || before == "," {
                continue;
            }
            let name = before.rsplit('.').next().unwrap_or(before);
            let is_known = FUNCTIONS.contains(&name) || WORDS.contains(&name);
            assert!(is_known, "{name} in: {statement}");
        }
    }
}

/// Citus sends a statement to one shard that names the tenant of every table it reads or writes, or inserts
/// `VALUES` of one tenant.
#[test]
fn a_statement_about_a_tenant_names_it() {
    for statement in all().filter(|statement| !OF_MANY.contains(statement)) {
        let is_insert = statement.starts_with("INSERT");
        match is_insert {
            true => {
                assert!(statement.contains("VALUES ($1,"), "{statement}");
                assert!(!statement.contains("SELECT"), "{statement}");
            }
            false => {
                let tables = statement.matches("meldb.").count();
                let named = statement.matches("shard = $").count();
                assert!(named >= tables, "{named} of {tables} in: {statement}");
            }
        }
    }
}

#[test]
fn inserts_have_a_value_for_each_place() {
    assert_eq!([1, 2, 3, 63, 64, 1000].map(InsertRows::size), [1, 2, 2, 32, 64, 64]);
    assert!(NEW_ROWS_OF_ONE.of(2).contains("VALUES ($1, $2, $3, $4, $5, 0, 0, 0, true, 2,"));
    assert!(NEW_ROWS_OF_ONE.of(2).contains(", ($1, $2, $3, $6, $7, 0"));
    assert!(PUT_ROWS.of(64).contains("$643") && !PUT_ROWS.of(64).contains("$644"));
    assert!(PUT_HISTORY.of(4).contains("($1, $17, $18, $19, $20, $21)"), "{}", PUT_HISTORY.of(4));
}

#[test]
fn nothing_is_used_that_only_one_system_has() {
    let refused = [
        "pg_",
        "listen",
        "notify",
        "nextval",
        "serial",
        "xmin",
        "ctid",
        "now()",
        "random",
        "gen_random",
        "clock_timestamp",
        "fillfactor",
        "jsonb",
        "skip locked",
        "txid",
        "lateral",
    ];
    for statement in all().chain(MIGRATE.iter().copied()) {
        for word in refused {
            assert!(!statement.to_lowercase().contains(word), "{word} in: {statement}");
        }
    }
}

#[test]
fn no_statement_writes_to_a_table_twice() {
    for statement in all() {
        let text = words(statement).join(" ");
        // What follows ON CONFLICT is of the same part.
        let text = text.replace("do update", "").replace("for update", "");
        for table in ["meldb.doc", "meldb.feed_head", "meldb.history"] {
            let writes = ["update ", "insert into ", "delete from "]
                .iter()
                .map(|verb| text.matches(&format!("{verb}{table} ")).count())
                .sum::<usize>();
            assert!(writes <= 1, "{table} is written {writes} times in: {statement}");
        }
    }
}

#[test]
fn names_are_bytes_in_every_table() {
    for column in ["shard", "part", "coll", "id", "actor", "body", "entry"] {
        for statement in MIGRATE {
            for line in
                statement.lines().filter(|line| line.trim().starts_with(&format!("{column} ")))
            {
                assert!(line.contains(" bytea "), "{line}");
            }
        }
    }
}

/// A statement that is written and not listed above would not be looked at.
#[test]
fn every_statement_is_listed() {
    let sources = [include_str!("../statements.rs"), include_str!("history.rs")];
    let text_constants: usize =
        sources.iter().map(|source| source.matches(": &str =").count()).sum();
    // Those about the session, and the two ends of a transaction.
    let others = [
        PLANNING,
        PLAN_ONCE,
        SYNCHRONOUS,
        FSYNC,
        WORKERS,
        BEGIN,
        BEGIN_LONG,
        UNLIMITED,
        COMMIT,
        ROLLBACK,
    ]
    .len();
    assert_eq!(text_constants, STATEMENTS.len() + others);
}
