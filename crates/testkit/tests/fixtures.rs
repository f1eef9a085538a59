//! Stores of every format that was released, and of this one, are read, merged into and verified.

use std::{fs, path::Path};

use meldb::EngineKind;
use meldb_testkit::{fixture::copy_dir, old_format};

fn assert_readable(engine: EngineKind, dir: &Path) {
    let differences = old_format::differences(engine, dir);
    let differences = differences.unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    assert!(differences.is_empty(), "{}: {differences:#?}", dir.display());
}

#[test]
fn a_store_of_this_format_is_read() {
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        old_format::make(engine, dir.path()).expect("made");
        assert_readable(engine, dir.path());
    }
}

/// `fixtures/format-N/ENGINE` holds a store each; none is there before the first release.
#[test]
fn a_store_of_every_released_format_is_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let Ok(formats) = fs::read_dir(&fixtures) else { return };
    for format in formats {
        for store in fs::read_dir(format.expect("a format").path()).expect("its stores") {
            let store = store.expect("a store");
            let engine = store.file_name().to_string_lossy().parse().expect("an engine's name");
            let dir = tempfile::tempdir().expect("a temporary directory");
            copy_dir(&store.path(), dir.path()).expect("copied");
            assert_readable(engine, dir.path());
        }
    }
}
