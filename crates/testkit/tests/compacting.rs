//! Compacting left on the disk what had been replaced: the seal around an engine did not pass the call
//! on, what was in memory was part of no compaction, and fjall kept the tables that one had replaced
//! until it flushed the next time. A tenant's erased documents stayed readable in them.

use std::{collections::HashSet, fs, path::Path};

use meldb::Store;
use meldb_testkit::random::Random;
use serde_json::json;

const SECRET_BYTES: usize = 32;

/// Returns a text that no compression shortens, another one for each number.
fn secret(number: u64) -> String {
    let mut random = Random::new(number);
    let letters = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-";
    (0..SECRET_BYTES).map(|_| char::from(*random.pick(letters))).collect()
}

/// Returns how many of the secrets are in files below `dir`, but for the log's.
fn found(dir: &Path, secrets: &[String]) -> usize {
    let mut bytes = Vec::new();
    collect(dir, &mut bytes);
    let wanted: HashSet<&[u8]> = secrets.iter().map(String::as_bytes).collect();
    let met = bytes.windows(SECRET_BYTES).filter(|window| wanted.contains(window));
    met.collect::<HashSet<_>>().len()
}

fn collect(dir: &Path, bytes: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            collect(&path, bytes);
        } else if path.extension().is_none_or(|extension| extension != "log") {
            bytes.extend(fs::read(&path).expect("the file can be read"));
        }
    }
}

#[test]
fn what_was_erased_is_in_no_table_after_compacting() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("store");
    let store = Store::open(&dir).expect("the store opens");
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let secrets: Vec<String> = (0..100).map(secret).collect();
    for (number, secret) in secrets.iter().enumerate() {
        users.put(format!("user-{number}"), json!({"secret": secret})).commit("test").expect("put");
    }
    store.compact().expect("compacted");
    let in_tables = found(&dir, &secrets);
    assert!(in_tables > 50, "only {in_tables} of 100 documents are in tables");

    tenant.erase("test").expect("erased");
    store.compact().expect("compacted");
    assert_eq!(found(&dir, &secrets), 0);

    // Compacting stores nothing that a reader could see.
    assert_eq!(store.verify().filter(Result::is_err).count(), 0);
}
