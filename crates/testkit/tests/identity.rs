//! A store whose directory was moved, deleted or replaced while it was open takes no more writes, says
//! why, and touches nothing at the path.

use std::{fs, path::Path, thread, time::Duration};

use meldb::{Durability, Error, Store, engine::EngineErrorKind};
use meldb_testkit::fixture::users;
use serde_json::json;

/// Longer than a store goes without looking.
const LOOKS_AGAIN: Duration = Duration::from_millis(150);

struct Place {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    moved: std::path::PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, moved) = (dir.path().join("store"), dir.path().join("moved"));
    Place { _dir: dir, path, moved }
}

fn open(path: &Path) -> Store {
    Store::builder().durability(Durability::Buffered).open(path).expect("opened")
}

fn put(store: &Store, id: &str) -> Result<(), Error> {
    users(store).put(id, json!({"id": id})).commit("a").map(drop)
}

fn is_displaced(error: &Error) -> bool {
    matches!(error, Error::ReadOnly { cause } if cause.kind() == EngineErrorKind::Displaced)
        && !error.is_retryable()
}

fn assert_displaced(store: &Store) {
    thread::sleep(LOOKS_AGAIN);
    for refused in [put(store, "late"), put(store, "later"), store.housekeep().map(drop)] {
        let error = refused.expect_err("refused");
        assert!(is_displaced(&error), "{error}");
    }
    assert!(store.failure().is_some_and(|failure| is_displaced(&failure)));
    assert!(users(store).exists("early").expect("reads go on"));
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_store_that_was_moved_away_makes_nothing_where_it_was() {
    let place = place();
    let store = open(&place.path);
    put(&store, "early").expect("put");
    fs::rename(&place.path, &place.moved).expect("moved");
    assert_displaced(&store);
    store.compact().expect_err("it would make files");
    drop(store);
    assert!(!place.path.exists());
    let store = open(&place.moved);
    assert!(users(&store).exists("early").expect("reads"));
    put(&store, "again").expect("it takes writes again");
}

#[test]
fn a_store_that_was_deleted_is_not_half_made_again() {
    let place = place();
    let store = open(&place.path);
    put(&store, "early").expect("put");
    fs::remove_dir_all(&place.path).expect("removed");
    assert_displaced(&store);
    drop(store);
    assert!(!place.path.exists());
    assert_eq!(users(&open(&place.path)).list().count(), 0);
}

/// The seal of the old store was written into the new one, which was refused for good.
#[test]
fn a_store_that_is_restored_in_place_of_an_open_one_is_left_alone() {
    for earlier_lives in [0, 3] {
        let place = place();
        for _ in 0..earlier_lives {
            put(&open(&place.path), "early").expect("put");
        }
        let old = open(&place.path);
        put(&old, "early").expect("put");
        let mut backup = Vec::new();
        old.backup_to(&mut backup, None).expect("taken");
        put(&old, "unwanted").expect("put");
        fs::rename(&place.path, &place.moved).expect("moved");
        drop(Store::builder().restore(&place.path, [&backup[..]]).expect("restored"));
        let before = names(&place.path);
        // It ends without having written anything since: nobody has noticed so far.
        drop(old);
        assert_eq!(names(&place.path), before);
        for _ in 0..2 {
            let store = open(&place.path);
            assert!(users(&store).exists("early").expect("reads"));
            assert!(!users(&store).exists("unwanted").expect("reads"));
        }
        assert!(users(&open(&place.moved)).exists("unwanted").expect("reads"));
    }
}

/// The flush of the one store went into the other, which lost every write that it had acknowledged.
#[test]
fn two_stores_of_one_path_do_not_meet() {
    for first_to_end in ["old", "new"] {
        let place = place();
        let old = open(&place.path);
        put(&old, "early").expect("put");
        fs::rename(&place.path, &place.moved).expect("moved");
        let new = Store::open(&place.path).expect("another store");
        (0..5).for_each(|n| put(&new, &format!("new-{n}")).expect("put"));
        let large = "y".repeat(900_000);
        let refused = (0..200).find_map(|n| {
            let put = users(&old).put(format!("old-{n}"), json!({"v": large})).commit("a");
            put.err().map(|error| (n, error))
        });
        let (written, error) = refused.expect("refused before a table is made");
        assert!(is_displaced(&error), "{error}");
        assert!(written < 60, "{written} documents of 900 KB were written first");
        (5..10).for_each(|n| put(&new, &format!("new-{n}")).expect("put"));
        match first_to_end {
            "old" => drop((old, new)),
            _ => drop((new, old)),
        }
        let new = open(&place.path);
        let ids: Vec<_> = users(&new).list().map(|document| document.expect("read")).collect();
        assert!(
            ids.iter()
                .all(|document| document.id().is_some_and(|id| id.as_str().starts_with("new-")))
        );
        assert_eq!(ids.len(), 10);
        assert!(new.verify().all(|record| record.is_ok()));
        let old = open(&place.moved);
        assert!(users(&old).exists("early").expect("reads"));
        assert!(old.verify().all(|record| record.is_ok()));
    }
}
