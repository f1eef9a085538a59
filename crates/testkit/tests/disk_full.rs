//! A full disk has an error of its own, harms nothing, and is over when there is room again.
//!
//! Needs root and loop devices; without them each test says that it is skipped.

use std::fs;

use meldb::{EngineKind, Error, Store};
use meldb_testkit::{
    power_cut::{Disk, DiskKind, FileSystem},
    skip::skip,
};
use serde_json::{Value, json};

/// `reads_go_on` says whether the engine can still be read while the disk is full.
fn is_survived(engine: EngineKind, reads_go_on: bool) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = match Disk::new(dir.path(), DiskKind::Shutdown, FileSystem::Ext4, 96 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skip(format_args!("a full disk under {engine}"), reason),
    };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![7; 48 << 20]).expect("there is room");
    let path = disk.path().join("store");
    let open = || Store::builder().engine(engine).open(&path);
    let put = |store: &Store, n: u64| {
        let users = store.tenant("t").and_then(|tenant| tenant.collection("users")).expect("names");
        let body = json!({"n": n, "fill": "x".repeat(100_000)});
        users.put(format!("user-{n}").as_str(), body).commit("writer").map(drop)
    };
    let verify = |store: &Store, acknowledged: u64| {
        let users = store.tenant("t").and_then(|tenant| tenant.collection("users")).expect("names");
        for n in 0..acknowledged {
            let user: Value = users
                .get_as(format!("user-{n}").as_str())
                .expect("reads go on")
                .expect("it is there");
            assert_eq!(user["n"], n);
        }
        let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
        assert!(problems.is_empty(), "{problems:?}");
    };

    let store = open().expect("opened");
    let mut acknowledged = 0;
    let full = loop {
        match put(&store, acknowledged) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::StorageFull { .. }), "{engine}: {full:?}");
    assert!(acknowledged > 50, "{engine}: {acknowledged}");
    let refused = put(&store, acknowledged).expect_err("the store has failed");
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    if reads_go_on {
        verify(&store, acknowledged);
    }
    drop(store);

    fs::remove_file(&ballast).expect("removed");
    let store = open().expect("opened again");
    verify(&store, acknowledged);
    for n in acknowledged..acknowledged + 20 {
        put(&store, n).expect("there is room again");
    }
    verify(&store, acknowledged + 20);
}

#[test]
fn fjall_survives_a_full_disk() {
    is_survived(EngineKind::Fjall, true);
}

/// sled remembers the failed write and answers every read that is not in its cache with it.
#[test]
fn sled_survives_a_full_disk() {
    is_survived(EngineKind::Sled, false);
}
