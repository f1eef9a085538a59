//! `meldb dump-log`, and `meldb repair` of stores whose log or tables are damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use meldb::{Durability, Store};
use serde_json::{Value, json};

use crate::cli::support::run;

/// Makes a store with a log and calls `write` with its tenant.
fn store(dir: &Path, write: impl FnOnce(&meldb::Tenant)) -> String {
    let dir = dir.join("store");
    let builder = Store::builder().durability(Durability::Buffered);
    let store = builder.open(&dir).unwrap();
    write(&store.tenant("acme").unwrap());
    drop(store);
    dir.to_str().unwrap().to_owned()
}

fn small_store(dir: &Path) -> String {
    store(dir, |tenant| {
        let ada = tenant.collection("users").unwrap().document("ada");
        ada.put(json!({"name": "Ada", "role": "member"})).commit("signup").unwrap();
        ada.merge(json!({"role": "owner"})).commit("billing").unwrap();
        ada.delete().commit("support").unwrap();
    })
}

/// Writes so much that it is left to the log when the store is closed.
fn large_store(dir: &Path) -> String {
    store(dir, |tenant| {
        let users = tenant.collection("users").unwrap();
        for n in 0..3000 {
            let fill = format!("document-{n:04}.").repeat(140);
            users.put(format!("u{n:04}"), json!({"fill": fill})).commit("import").unwrap();
        }
    })
}

fn log_files(store: &str) -> Vec<PathBuf> {
    let log = Path::new(store).join("data").join("log");
    fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Flips a bit of a text where it lies in a log file.
fn damage(store: &str, text: &str) {
    let found = log_files(store).into_iter().any(|path| {
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        let Some(at) = at else { return false };
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        true
    });
    assert!(found, "{text} is in no log file");
}

/// Repairs a store from which something is lost, and returns the new one and what was printed.
fn repair(dir: &Path, store: &str) -> (String, Value, String) {
    let saved = dir.join("saved").to_str().unwrap().to_owned();
    let repaired = run(["repair", "--json", "--dir", store, "--into", &saved]).expect(1);
    (saved, repaired.json(), repaired.stderr)
}

#[test]
fn each_record_is_a_line_of_json() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_store(dir.path());
    let dumped = run(["dump-log", "--dir", &store]).expect(0);
    assert_eq!(dumped.stderr, "");
    let records: Vec<Value> =
        dumped.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<_> = records.iter().map(|record| record["sequence"].as_u64()).collect();
    assert!(sequences.is_sorted() && sequences.len() >= 3, "{sequences:?}");
    let writes = records.iter().map(|record| &record["tenants"][0]["writes"][0]);
    let writes: Vec<_> = writes.map(|write| (&write["kind"], &write["updatedBy"])).collect();
    let (put, merged, deleted) = (&json!("put"), &json!("merged"), &json!("deleted"));
    let expected =
        [(put, &json!("signup")), (merged, &json!("billing")), (deleted, &json!("support"))];
    assert_eq!(writes, expected);
    // It changes nothing.
    assert_eq!(run(["dump-log", "--dir", &store]).expect(0).stdout, dumped.stdout);
}

#[test]
fn a_directory_without_a_store_has_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    let failed = run(["dump-log", "--dir", &missing]).expect(2);
    assert!(failed.stderr.contains("there is no store"), "{failed:?}");
    assert!(!Path::new(&missing).exists());
}

#[test]
fn both_sides_of_damage_to_the_log_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = large_store(dir.path());
    damage(&store, "document-1500.document-1500.");
    let refused = run(["verify", "--dir", &store]).expect(1);
    assert!(refused.stderr.contains("is missing or damaged"), "{refused:?}");
    assert!(refused.stderr.contains("meldb repair"), "{refused:?}");
    let dumped = run(["dump-log", "--dir", &store]).expect(1);
    assert!(dumped.stderr.contains("is missing or damaged"), "{}", dumped.stderr);
    assert!(dumped.stdout.contains("u1499") && dumped.stdout.contains("u2999"));
    assert!(!dumped.stdout.contains("u1500"));

    let (saved, repaired, told) = repair(dir.path(), &store);
    assert_eq!((&repaired["lost"], &repaired["documents"]), (&json!(1), &json!(2999)));
    assert!(told.contains("is missing or damaged"), "{told}");
    for id in ["u0000", "u1499", "u1501", "u2999"] {
        run(["get", "--dir", &saved, &format!("acme/users/{id}")]).expect(0);
    }
    run(["get", "--dir", &saved, "acme/users/u1500"]).expect(3);
    let verified = run(["verify", "--json", "--dir", &saved]).expect(0).json();
    assert_eq!(verified["documents"], 2999);
}

#[test]
fn a_closed_store_whose_log_lost_its_tail_is_refused_and_the_rest_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = large_store(dir.path());
    let last = "document-2999.";
    let file = log_files(&store).into_iter().find(|path| {
        fs::read(path).unwrap().windows(last.len()).any(|window| window == last.as_bytes())
    });
    let file = file.unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.windows(last.len()).rposition(|window| window == last.as_bytes()).unwrap();
    let end = end + last.len();
    bytes[end - 120..end].fill(0);
    fs::write(&file, bytes).unwrap();
    let refused = run(["get", "--dir", &store, "acme/users/u0000"]).expect(1);
    assert!(refused.stderr.contains("its end is lost"), "{refused:?}");
    let (saved, repaired, told) = repair(dir.path(), &store);
    assert_eq!((&repaired["lost"], &repaired["documents"]), (&json!(1), &json!(2999)));
    assert!(told.contains("its end is lost"), "{told}");
    run(["get", "--dir", &saved, "acme/users/u2998"]).expect(0);
    run(["get", "--dir", &saved, "acme/users/u2999"]).expect(3);
}

#[test]
fn without_its_tables_what_the_log_holds_is_saved_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let store = large_store(dir.path());
    let tables = Path::new(&store).join("data").join("tables");
    fs::remove_dir_all(tables).unwrap();
    let refused = run(["get", "--dir", &store, "acme/users/u0000"]).expect(1);
    assert!(refused.stderr.contains("could not open"), "{refused:?}");
    assert!(refused.stderr.contains("meldb repair"), "{refused:?}");
    let (saved, repaired, told) = repair(dir.path(), &store);
    assert_eq!((&repaired["lost"], &repaired["documents"]), (&json!(1), &json!(3000)), "{told}");
    run(["get", "--dir", &saved, "acme/users/u2999"]).expect(0);

    let dir = tempfile::tempdir().unwrap();
    let store = small_store(dir.path());
    fs::remove_dir_all(Path::new(&store).join("data").join("log")).unwrap();
    run(["get", "--dir", &store, "acme/users/ada"]).expect(1);
    let (saved, repaired, told) = repair(dir.path(), &store);
    assert_eq!((&repaired["lost"], &repaired["deleted"]), (&json!(1), &json!(1)), "{told}");
    run(["get", "--dir", &saved, "acme/users/ada"]).expect(3);
}
