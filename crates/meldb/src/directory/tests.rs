use std::{
    process::{Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;

fn place() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Stands for an engine's creation: a file in a directory.
fn create(data: &Path, _: StoreId) -> Result<(), Error> {
    assert_eq!(fs::read_dir(data).expect("a directory").count(), 0, "the engine starts afresh");
    fs::create_dir(data.join("tables")).expect("created");
    fs::write(data.join("tables/1"), b"engine").expect("written");
    Ok(())
}

fn never(_: &Path, _: StoreId) -> Result<(), Error> {
    panic!("an existing store must not be created again");
}

fn open(path: &Path) -> Result<Directory, Error> {
    Directory::open(path, "fjall", create)
}

/// Creates a store where there must be none.
fn created(path: &Path) -> Directory {
    let mut called = false;
    let directory = Directory::open(path, "fjall", |data, id| {
        called = true;
        create(data, id)
    });
    let directory = directory.expect("created");
    assert!(called, "there was a store");
    directory
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("readable").file_name();
    let mut names: Vec<_> =
        entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_missing_directory_is_created_with_all_above_it() {
    let place = place();
    let path = place.path().join("a/b/store");
    let directory = created(&path);
    assert_eq!(names(&path), ["MELDB", "data", "lock"]);
    assert_eq!(fs::read(directory.data().join("tables/1")).expect("kept"), b"engine");
    let format = FormatFile::read(&path, FORMAT_FILE).expect("readable");
    assert!(format.engine == "fjall" && format.created_ms > 1_600_000_000_000);
}

#[test]
fn an_empty_directory_becomes_a_store() {
    let place = place();
    fs::create_dir(place.path().join(LOST_AND_FOUND)).expect("made");
    created(place.path());
}

#[test]
fn a_store_is_opened_as_it_was() {
    let place = place();
    created(place.path());
    let text = fs::read(place.path().join(FORMAT_FILE)).expect("readable");
    Directory::open(place.path(), "fjall", never).expect("opened");
    assert_eq!(fs::read(place.path().join(FORMAT_FILE)).expect("readable"), text);
}

#[test]
fn a_relative_path_is_that_of_the_working_directory() {
    let error = Directory::open(Path::new("Cargo.toml"), "fjall", never).expect_err("a file");
    let Error::NotAStore { dir, .. } = error else { panic!("{error}") };
    assert!(dir.is_absolute());
}

#[test]
fn a_store_that_is_open_is_in_use_until_it_is_dropped() {
    let place = place();
    let first = open(place.path()).expect("created");
    let error = open(place.path()).expect_err("in use");
    assert!(matches!(&error, Error::InUse { dir } if dir == place.path()) && error.is_retryable());
    assert_eq!(Directory::engine_of(place.path()).expect("readable"), Some("fjall".to_owned()));
    drop(first);
    open(place.path()).expect("free again");
}

#[test]
fn a_directory_of_others_is_refused_and_left_alone() {
    let place = place();
    fs::create_dir(place.path().join("data")).expect("made");
    fs::write(place.path().join("data/thesis"), b"irreplaceable").expect("written");
    for result in [open(place.path()).map(|_| ()), Directory::engine_of(place.path()).map(|_| ())] {
        let error = result.expect_err("refused");
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    }
    assert_eq!(names(place.path()), ["data"]);
    assert_eq!(names(&place.path().join("data")), ["thesis"]);
}

#[test]
fn a_file_is_not_a_store() {
    let place = place();
    let path = place.path().join("file");
    fs::write(&path, b"").expect("written");
    assert!(matches!(open(&path), Err(Error::NotAStore { .. })));
    assert!(matches!(open(&path.join("below")), Err(Error::NotAStore { .. })));
}

#[test]
fn another_engine_is_named() {
    let place = place();
    open(place.path()).expect("created");
    let error = Directory::open(place.path(), "sled", never).expect_err("refused");
    assert!(matches!(&error, Error::WrongEngine { found, asked, .. }
        if found == "fjall" && asked == "sled"));
}

#[test]
fn a_format_that_is_too_new_is_named() {
    let place = place();
    open(place.path()).expect("created");
    let fields = "MelDB store\nformat 2\n";
    let checksum = twox_hash::XxHash3_64::oneshot(fields.as_bytes());
    let text = format!("{fields}checksum {checksum:016x}\n");
    fs::write(place.path().join(FORMAT_FILE), text).expect("written");
    assert!(matches!(open(place.path()), Err(Error::UnsupportedFormat { found: 2, .. })));
    assert!(matches!(
        Directory::engine_of(place.path()),
        Err(Error::UnsupportedFormat { found: 2, .. })
    ));
}

#[test]
fn a_damaged_format_file_is_damage() {
    let place = place();
    open(place.path()).expect("created");
    let path = place.path().join(FORMAT_FILE);
    let text = fs::read_to_string(&path).expect("readable").replace("fjall", "fjord");
    fs::write(&path, text).expect("written");
    assert!(matches!(open(place.path()), Err(Error::Damaged { .. })));
}

#[test]
fn a_store_without_its_data_is_damage_and_not_created_anew() {
    let place = place();
    open(place.path()).expect("created");
    fs::remove_dir_all(place.path().join(DATA_DIR)).expect("removed");
    assert!(matches!(Directory::open(place.path(), "fjall", never), Err(Error::Damaged { .. })));
}

#[test]
fn nothing_is_there_to_name_an_engine_before_the_creation() {
    let place = place();
    assert_eq!(Directory::engine_of(place.path()).expect("empty"), None);
    assert_eq!(Directory::engine_of(&place.path().join("missing")).expect("missing"), None);
}

#[test]
fn a_creation_that_fails_leaves_no_store_and_can_be_repeated() {
    let place = place();
    let failing = |data: &Path, _: StoreId| {
        fs::write(data.join("half"), b"done").expect("written");
        Err(Error::EngineUnavailable { engine: "fjall".to_owned() })
    };
    let error = Directory::open(place.path(), "fjall", failing).expect_err("failed");
    assert!(matches!(error, Error::EngineUnavailable { .. }));
    assert_eq!(Directory::engine_of(place.path()).expect("empty"), None);
    created(place.path());
}

/// Every state that a creation can be cut in is one of these, or a store.
#[test]
fn a_creation_that_was_cut_is_started_over() {
    let stages: [&[&str]; 4] = [
        &[LOCK_FILE],
        &[LOCK_FILE, UNFINISHED_FORMAT_FILE],
        &[LOCK_FILE, UNFINISHED_FORMAT_FILE, "data/"],
        &[LOCK_FILE, UNFINISHED_FORMAT_FILE, "data/", "data/half"],
    ];
    for stage in stages {
        let place = place();
        for name in stage {
            match name.strip_suffix('/') {
                Some(dir) => fs::create_dir(place.path().join(dir)).expect("made"),
                None => fs::write(place.path().join(name), b"").expect("written"),
            }
        }
        assert_eq!(Directory::engine_of(place.path()).expect("vacant"), None, "{stage:?}");
        created(place.path());
        assert_eq!(names(place.path()), ["MELDB", "data", "lock"], "{stage:?}");
    }
}

#[test]
fn of_many_creators_one_wins_and_the_others_find_it_in_use() {
    for _ in 0..20 {
        let place = place();
        let path = place.path().join("store");
        let (barrier, created) = (Barrier::new(8), AtomicUsize::new(0));
        let results: Vec<_> = thread::scope(|scope| {
            let contend = || {
                barrier.wait();
                Directory::open(&path, "fjall", |data, id| {
                    created.fetch_add(1, Ordering::SeqCst);
                    create(data, id)
                })
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(contend)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(created.load(Ordering::SeqCst), 1);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for error in results.into_iter().filter_map(Result::err) {
            assert!(matches!(error, Error::InUse { .. }), "{error}");
        }
    }
}

#[test]
fn a_lock_on_a_directory_that_was_replaced_does_not_count() {
    let place = place();
    let path = place.path().join("store");
    let first = created(&path);
    fs::rename(&path, place.path().join("moved")).expect("moved away");
    let second = created(&path);
    assert!(!files::is_at(&first.lock.file, &path.join(LOCK_FILE)).expect("readable"));
    fs::remove_dir_all(&path).expect("removed");
    assert!(!files::is_at(&second.lock.file, &path.join(LOCK_FILE)).expect("readable"));
    created(&path);
}

fn displaced(directory: &Directory) -> String {
    let error = directory.check_identity().expect_err("displaced");
    assert_eq!(error.kind(), EngineErrorKind::Displaced, "{error}");
    error.to_string()
}

#[test]
fn a_store_has_an_id_of_its_own_that_it_keeps() {
    let place = place();
    let (one, other) = (place.path().join("one"), place.path().join("other"));
    let id = created(&one).id();
    assert_eq!(open(&one).expect("opened").id(), id);
    assert_ne!(created(&other).id(), id);
}

#[test]
fn a_directory_that_was_moved_deleted_or_replaced_is_noticed() {
    let place = place();
    let (path, moved) = (place.path().join("store"), place.path().join("moved"));
    let store = created(&path);
    store.check_identity().expect("it is where it was");
    fs::rename(&path, &moved).expect("moved");
    assert!(displaced(&store).contains("moved away or deleted"));
    let other = created(&path);
    other.check_identity().expect("it is where it was made");
    assert!(displaced(&store).contains("no longer the directory of this store"));
    fs::remove_dir_all(&path).expect("removed");
    assert!(displaced(&other).contains("moved away or deleted"));
    fs::write(&path, b"").expect("written");
    assert!(displaced(&other).contains("no longer a directory"));
    fs::remove_file(&path).expect("removed");
    fs::rename(&moved, &path).expect("moved back");
    store.check_identity().expect("it is where it was");
}

#[test]
fn contents_that_were_replaced_within_the_directory_are_noticed() {
    let place = place();
    let (path, other) = (place.path().join("store"), place.path().join("other"));
    let store = created(&path);
    drop(created(&other));
    let own = fs::read(path.join(FORMAT_FILE)).expect("read");
    fs::copy(other.join(FORMAT_FILE), path.join(FORMAT_FILE)).expect("copied");
    assert!(displaced(&store).contains("holds another store"));
    fs::remove_file(path.join(FORMAT_FILE)).expect("removed");
    assert!(displaced(&store).contains("holds this store no longer"));
    fs::write(path.join(FORMAT_FILE), own).expect("written");
    store.check_identity().expect("it is what it was");
    fs::remove_file(path.join(LOCK_FILE)).expect("removed");
    displaced(&store);
}

#[test]
fn a_symbolic_link_that_leads_elsewhere_is_noticed() {
    #[cfg(unix)]
    {
        let place = place();
        let [one, other, link] = ["one", "other", "link"].map(|name| place.path().join(name));
        drop((created(&one), created(&other)));
        std::os::unix::fs::symlink(&one, &link).expect("linked");
        let store = open(&link).expect("opened");
        store.check_identity().expect("it is where it was");
        fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(&other, &link).expect("linked");
        displaced(&store);
    }
}

#[test]
fn a_fork_is_refused_and_leaves_its_parents_lock_alone() {
    let place = place();
    let path = place.path().join("store");
    let parent = created(&path);
    let lock = Lock { file: parent.lock.file.try_clone().expect("cloned"), process: process::id() };
    let mut fork = Directory { path: path.clone(), data: parent.data.clone(), id: parent.id, lock };
    fork.forget_process();
    assert!(displaced(&fork).contains("fork"));
    drop(fork);
    assert!(matches!(open(&path), Err(Error::InUse { .. })), "the fork has ended the lock");
    parent.check_identity().expect("nothing has happened");
}

#[test]
fn stores_are_opened_while_others_remove_the_directory() {
    let place = place();
    let path = place.path().join("store");
    thread::scope(|scope| {
        let opener = scope.spawn(|| {
            for _ in 0..50 {
                match Directory::open(&path, "fjall", |_, _| Ok(())) {
                    Ok(_)
                    | Err(Error::Io { .. } | Error::Damaged { .. } | Error::NotAStore { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        while !opener.is_finished() {
            let _ = fs::remove_dir_all(&path);
        }
    });
    let _ = fs::remove_dir_all(&path);
    open(&path).expect("created");
}

const CHILD_DIR: &str = "MELDB_TEST_CHILD_DIR";

/// Not a test by itself: what the child process of the next one runs.
#[test]
fn child_process_holds_the_store_until_its_input_ends() {
    let Some(path) = std::env::var_os(CHILD_DIR) else { return };
    let _directory = open(Path::new(&path)).expect("created");
    fs::write(Path::new(&path).with_extension("ready"), b"").expect("written");
    io::copy(&mut io::stdin(), &mut io::sink()).expect("waited");
}

#[test]
fn another_process_keeps_the_store_in_use_until_it_is_killed() {
    let place = place();
    let path = place.path().join("store");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "directory::tests::child_process_holds_the_store_until_its_input_ends"])
        .env(CHILD_DIR, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    while !path.with_extension("ready").exists() {
        assert!(child.try_wait().expect("known").is_none(), "the child has failed");
        thread::sleep(Duration::from_millis(2));
    }
    assert!(matches!(open(&path), Err(Error::InUse { .. })));
    child.kill().expect("killed");
    child.wait().expect("gone");
    Directory::open(&path, "fjall", never).expect("free again");
}
