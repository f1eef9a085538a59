//! Stores that are opened for reading: nothing is written to their directory, and it need not be possible.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use meldb::{
    BackupSummary, Builder, ChangeCursor, Durability, EngineKind, Error, Store,
    engine::EngineErrorKind, with_causes,
};
use meldb_testkit::{fixture::copy_dir, need::Need};
use serde_json::{Value, json};
use tempfile::TempDir;

const ENGINES: [EngineKind; 2] = [EngineKind::Fjall, EngineKind::Sled];
/// Documents in the tables, some of them in chunks of sled's.
const OLD: usize = 300;
/// Documents that are in the log alone.
const NEW: usize = 20;

fn builder(engine: EngineKind) -> Builder {
    Store::builder().engine(engine).durability(Durability::Buffered)
}

/// Makes the directory of a store whose process has been killed: with tables, and a log that is ahead of them.
fn killed_store(engine: EngineKind) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let store = builder(engine).open(home.path().join("open")).expect("opened");
    let users = store.tenant("acme").and_then(|acme| acme.collection("users")).expect("names");
    for n in 0..OLD {
        let text = "x".repeat(if n % 50 == 0 { 10_000 } else { 100 });
        users.put(format!("old-{n}"), json!({"n": n, "text": text})).commit("a").expect("put");
    }
    store.checkpoint().expect("a checkpoint");
    for n in 0..NEW {
        users.put(format!("new-{n}"), json!({"n": n})).commit("a").expect("put");
        users.merge(format!("old-{n}"), json!({"merged": true})).commit("a").expect("merged");
    }
    users.delete("old-299").commit("a").expect("deleted");
    // A file may go while it is copied.
    let killed = home.path().join("killed");
    while copy_dir(&home.path().join("open"), &killed).is_err() {
        fs::remove_dir_all(&killed).expect("removed");
    }
    home
}

/// Returns each file below a directory: its bytes, and when it was written to.
fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let written = fs::metadata(&path).and_then(|file| file.modified()).expect("a time");
            files.insert(path.clone(), (fs::read(&path).expect("read"), written));
        }
    }
    files
}

/// Reads all that a store has, in every way.
fn assert_reads_all(store: &Store) {
    let acme = store.tenant("acme").expect("a name");
    let users = acme.collection("users").expect("a name");
    let page = users.list().page(1000).expect("a page");
    assert_eq!(page.documents.len(), OLD + NEW - 1);
    let get = |id: &str| users.get_as::<Value>(id).expect("read");
    assert_eq!(get("new-7").expect("from the log")["n"], 7);
    assert_eq!(get("old-7").expect("from both")["merged"], true);
    assert_eq!(
        get("old-250").expect("from the tables")["text"].as_str().map(str::len),
        Some(10_000)
    );
    assert_eq!(get("old-299"), None);
    let changes = acme.changes(ChangeCursor::START).page(10_000).expect("changes").changes;
    assert_eq!(changes.len(), OLD + NEW);
    let mut verification = store.verify();
    assert!(verification.all(|record| record.is_ok()));
    assert_eq!(verification.verified().problems, 0);
    let mut backup = Vec::new();
    let summary = store.backup_to(&mut backup, None).expect("a backup");
    assert_eq!(BackupSummary::read(&backup[..]).expect("whole"), summary);
    let copy = Store::in_memory().expect("a store");
    store.copy_to(&copy, |_| ()).expect("copied");
    let users = copy.tenant("acme").and_then(|acme| acme.collection("users")).expect("names");
    assert!(users.get("new-7").expect("read").is_some());
}

fn assert_takes_no_writes(store: &Store) {
    let acme = store.tenant("acme").expect("a name");
    let users = acme.collection("users").expect("a name");
    let mut batch = acme.batch();
    batch.push(users.put("eve", json!({})));
    for refused in [
        users.put("bob", json!({})).commit("a").map(drop),
        users.merge("old-1", json!({"n": 2})).commit("a").map(drop),
        users.delete("old-1").commit("a").map(drop),
        batch.commit("a").map(drop),
        store.housekeep().map(drop),
        store.compact(),
        store.checkpoint(),
    ] {
        let error = refused.expect_err("it was opened for reading");
        assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
        assert!(with_causes(&error).to_string().ends_with("it was opened for reading"), "{error}");
    }
    assert!(matches!(store.failure(), Some(Error::ReadOnly { .. })));
}

#[test]
fn a_killed_store_is_read_and_not_a_byte_of_it_is_written() {
    for engine in ENGINES {
        let home = killed_store(engine);
        let dir = home.path().join("killed");
        let before = files(&dir);
        for _ in 0..2 {
            let store = Store::builder().open_read_only(&dir).expect("opened");
            assert_eq!(store.engine_name(), engine.name());
            assert_reads_all(&store);
            assert_takes_no_writes(&store);
        }
        assert!(files(&dir) == before, "{engine}: a file was written to, made or removed");
        // And it is whole: the next one that writes finds everything.
        assert_reads_all(&builder(engine).open_existing(&dir).expect("opened"));
    }
}

#[test]
fn a_closed_store_is_read_and_not_a_byte_of_it_is_written() {
    for engine in ENGINES {
        let home = killed_store(engine);
        let dir = home.path().join("killed");
        drop(builder(engine).open_existing(&dir).expect("opened"));
        let before = files(&dir);
        assert_reads_all(&Store::builder().open_read_only(&dir).expect("opened"));
        assert!(files(&dir) == before, "{engine}: a file was written to, made or removed");
    }
}

#[test]
fn readers_share_a_store_and_keep_writers_out() {
    let home = killed_store(EngineKind::Fjall);
    let dir = home.path().join("killed");
    let first = Store::builder().open_read_only(&dir).expect("opened");
    let second = Store::builder().open_read_only(&dir).expect("opened by two");
    assert_reads_all(&second);
    let writer = Store::builder().open_existing(&dir);
    assert!(matches!(writer, Err(Error::InUse { .. })), "{:?}", writer.err());
    drop((first, second));
    let writer = Store::builder().open_existing(&dir).expect("nobody reads it any more");
    let reader = Store::builder().open_read_only(&dir);
    assert!(matches!(reader, Err(Error::InUse { .. })), "{:?}", reader.err());
    drop(writer);
    Store::builder().open_read_only(&dir).expect("nobody writes to it any more");
}

#[test]
fn nothing_is_made_where_no_store_is() {
    let home = tempfile::tempdir().expect("a directory");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).expect("made");
    for dir in [home.path().join("missing"), empty.clone()] {
        for opened in [Store::builder().open_read_only(&dir), Store::builder().open_existing(&dir)]
        {
            let error = opened.expect_err("there is no store");
            assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
        }
    }
    assert!(!home.path().join("missing").exists());
    assert_eq!(fs::read_dir(&empty).expect("read").count(), 0);
}

#[test]
fn damage_is_an_error_of_readers_too() {
    let home = killed_store(EngineKind::Fjall);
    let dir = home.path().join("killed");
    let log = dir.join("data").join("log").join("0001.log");
    let mut text = fs::read(&log).expect("read");
    let sound = text.clone();
    // Both copies of its header.
    text[..4096].fill(0);
    fs::write(&log, text).expect("written");
    let error = Store::builder().open_read_only(&dir).expect_err("the log is damaged");
    assert!(
        matches!(&error, Error::Damaged { what, .. } if what.contains("0001.log")),
        "{error:?}"
    );
    fs::write(&log, sound).expect("written");
    let tree = dir.join("data").join("tables").join("keyspaces").join("1");
    fs::remove_file(tree.join("current")).expect("removed");
    let error = Store::builder().open_read_only(&dir).expect_err("the tables are damaged");
    let is_damage = matches!(&error, Error::OpenFailed { source, .. }
        if source.kind() == EngineErrorKind::Damaged);
    assert!(is_damage, "{error:?}");
}

/// A file system that is mounted for reading, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn read_only(dir: &Path, at: &Path) -> Self {
        fs::create_dir(at).expect("made");
        let mount = |args: &[&str]| {
            let status = Command::new("mount").args(args).arg(at).status().expect("started");
            assert!(status.success(), "mount {args:?}");
        };
        mount(&["--bind", dir.to_str().expect("UTF-8")]);
        let mounted = Self(at.to_owned());
        mount(&["-o", "remount,ro,bind"]);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

#[test]
fn a_store_on_a_mount_for_reading_is_read() {
    if !Need::Root.is_met() || !Need::MOUNT.is_met() {
        // Who is not root cannot write where there is no right to.
        for engine in ENGINES {
            let home = killed_store(engine);
            let dir = home.path().join("killed");
            assert!(
                Command::new("chmod")
                    .arg("-R")
                    .arg("a-w")
                    .arg(&dir)
                    .status()
                    .expect("chmod")
                    .success()
            );
            assert_reads_all(&Store::builder().open_read_only(&dir).expect("opened"));
            assert!(
                Command::new("chmod")
                    .arg("-R")
                    .arg("u+w")
                    .arg(&dir)
                    .status()
                    .expect("chmod")
                    .success()
            );
        }
        return;
    }
    for engine in ENGINES {
        let home = killed_store(engine);
        let at = home.path().join("mounted");
        let mounted = Mounted::read_only(&home.path().join("killed"), &at);
        let written = fs::write(at.join("x"), "");
        assert_eq!(
            written.map_err(|error| error.kind()),
            Err(std::io::ErrorKind::ReadOnlyFilesystem)
        );
        assert!(Store::builder().open_existing(&at).is_err(), "it cannot be written to");
        let store = Store::builder().open_read_only(&at).expect("opened");
        assert_reads_all(&store);
        assert_takes_no_writes(&store);
        drop(store);
        drop(mounted);
    }
}
