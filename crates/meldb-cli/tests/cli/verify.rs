//! `meldb verify` and `meldb repair`, on stores that are sound and on one that is not.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::cli::support::{run, run_with_input};

fn store(dir: &Path) -> String {
    let dir = dir.join("store").to_str().unwrap().to_owned();
    let lines: Vec<String> = (0..300)
        .map(|n| {
            let data = json!({"n": n, "fill": format!("document-{n:03}").repeat(20)});
            json!({"tenant": format!("t{}", n % 3), "collection": "users", "id": format!("u{n:03}"),
                "data": data})
            .to_string()
        })
        .collect();
    run_with_input(["import", "--dir", &dir, "-"], lines.join("\n").as_bytes()).expect(0);
    run(["delete", "--dir", &dir, "t0/users/u000"]).expect(0);
    dir
}

#[test]
fn a_sound_store_is_sound_and_its_copy_equals_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let verified = run(["verify", "--dir", &store]).expect(0);
    assert!(verified.stdout.starts_with("sound: 299 documents of 3 tenants"), "{verified:?}");
    let verified = run(["verify", "--dir", &store, "--json"]).expect(0).json();
    assert_eq!(verified["documents"], 299);
    assert_eq!((&verified["deleted"], &verified["problems"]), (&json!(1), &json!(0)));

    let copy = dir.path().join("copy").to_str().unwrap().to_owned();
    let saved = run(["repair", "--dir", &store, "--into", &copy]).expect(0);
    assert!(saved.stdout.contains("nothing was lost"), "{saved:?}");
    let strip = |mut verified: Value| {
        verified.as_object_mut().unwrap().remove("seconds");
        verified
    };
    let copied = run(["verify", "--dir", &copy, "--json"]).expect(0).json();
    assert_eq!(strip(copied), strip(verified));
    for document in ["t0/users/u003", "t1/users/u001", "t2/users/u299"] {
        let get = |dir| run(["get", "--json", "--dir", dir, document]).expect(0).json();
        assert_eq!(get(&store), get(&copy), "revision and stamps included");
    }
    run(["get", "--dir", &copy, "t0/users/u000"]).expect(3);
}

#[test]
fn a_directory_without_a_store_and_one_with_a_store_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    run(["verify", "--dir", &missing]).expect(2);
    run(["repair", "--dir", &missing, "--into", &missing]).expect(2);
    assert!(!Path::new(&missing).exists());
    let refused = run(["repair", "--dir", &store, "--into", &store]).expect(1);
    let said = "holds a store already, and it was left as it is; choose an empty place";
    assert!(refused.stderr.contains(said), "{refused:?}");
    let backup = dir.path().join("backup").to_str().unwrap().to_owned();
    run(["backup", &backup, "--dir", &store]).expect(0);
    let refused = run(["restore", &backup, "--dir", &store]).expect(1);
    assert!(refused.stderr.contains(said), "{refused:?}");
    let export = ["export", "t0", "--out", &backup, "--dir", &store];
    let resume = run(export).expect(2);
    assert!(resume.stderr.contains("exists already, and it was left as it is"), "{resume:?}");
    assert!(resume.stderr.contains("or go on with it with --resume"), "{resume:?}");
    let refused = run(["backup", &backup, "--dir", &store]).expect(2);
    for said in ["exists already, and it was left as it is", "hint: choose another name"] {
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
}

#[test]
fn a_store_with_a_flipped_bit_is_not_sound_and_the_rest_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let keyspaces = Path::new(&store).join("data").join("tables").join("keyspaces");
    let tables = fs::read_dir(keyspaces).unwrap().flat_map(|keyspace| {
        let tables = fs::read_dir(keyspace.unwrap().path().join("tables")).unwrap();
        tables.map(|table| table.unwrap().path()).collect::<Vec<_>>()
    });
    let table = tables.max_by_key(|table| fs::metadata(table).unwrap().len()).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).unwrap();
    for command in [vec!["verify", "--dir", &store], vec!["verify", "--json", "--dir", &store]] {
        let verified = run(command).expect(1);
        assert!(verified.stderr.to_lowercase().contains("damaged"), "{verified:?}");
    }
    let saved = dir.path().join("saved").to_str().unwrap().to_owned();
    let repaired = run(["repair", "--json", "--dir", &store, "--into", &saved]).expect(1).json();
    let documents = repaired["documents"].as_u64().unwrap();
    assert!((200..299).contains(&documents), "{repaired}");
    let verified = run(["verify", "--json", "--dir", &saved]).expect(0).json();
    assert_eq!(verified["documents"], documents);
}
