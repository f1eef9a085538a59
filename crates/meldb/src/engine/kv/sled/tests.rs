use super::*;

fn store() -> (tempfile::TempDir, SledKv) {
    let dir = tempfile::tempdir().expect("a directory");
    SledKv::create(dir.path()).expect("created");
    let kv = SledKv::open(dir.path()).expect("opened");
    (dir, kv)
}

fn batch(entries: &[(&str, Option<usize>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, length) in entries {
        match length {
            Some(length) => batch.put(key.as_bytes().to_vec(), vec![key.as_bytes()[0]; *length]),
            None => batch.remove(key.as_bytes().to_vec()),
        }
    }
    batch
}

/// The keys and the lengths of their values, which `range` and `get` must agree on.
fn contents(kv: &SledKv) -> Vec<(String, usize)> {
    let all = || kv.range((Bound::Unbounded, Bound::Unbounded));
    let entry = |entry: Result<(Bytes, Bytes), KvError>| {
        let (key, value) = entry.expect("readable");
        assert!(value.iter().all(|byte| *byte == key[0]), "the value of another key");
        assert_eq!(kv.get(&key).expect("readable"), Some(value.clone()));
        (String::from_utf8_lossy(&key).into_owned(), value.len())
    };
    let forward: Vec<_> = all().map(entry).collect();
    let mut backward: Vec<_> = all().rev().map(entry).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

fn named(entries: &[(&str, usize)]) -> Vec<(String, usize)> {
    entries.iter().map(|(key, length)| ((*key).to_owned(), *length)).collect()
}

#[test]
fn a_batch_is_hidden_until_it_is_durable() {
    let (_dir, kv) = store();
    let before = [("changed", 10), ("grown", 20), ("removed", 30_000), ("shrunk", 50_000)];
    kv.apply(batch(&before.map(|(key, length)| (key, Some(length)))), Persist::Sync)
        .expect("applied");

    let changes = [
        ("added", Some(40_000)),
        ("changed", Some(11)),
        ("grown", Some(60_000)),
        ("removed", None),
        ("shrunk", Some(1)),
    ];
    kv.stage(&mut kv.writer.lock(), batch(&changes)).expect("staged");
    assert_eq!(contents(&kv), named(&before));
    assert_eq!(kv.get(b"added").expect("readable"), None);

    kv.settle(&mut kv.writer.lock(), Persist::Sync).expect("settled");
    let after = [("added", 40_000), ("changed", 11), ("grown", 60_000), ("shrunk", 1)];
    assert_eq!(contents(&kv), named(&after));
    assert_eq!(kv.get(b"removed").expect("readable"), None);
}

#[test]
fn a_page_takes_back_what_the_batch_in_flight_removed() {
    let (_dir, kv) = store();
    let keys: Vec<String> = (0..1000).map(|number| format!("0{number:03}")).collect();
    let mut put = Batch::default();
    let mut remove = Batch::default();
    for key in &keys {
        put.put(key.clone().into_bytes(), vec![b'0'; 100]);
        remove.remove(key.clone().into_bytes());
    }
    kv.apply(put, Persist::Buffer).expect("applied");
    kv.stage(&mut kv.writer.lock(), remove).expect("staged");
    assert_eq!(contents(&kv).len(), keys.len());
}

#[test]
fn a_page_does_not_end_with_a_key_that_it_hides() {
    let (_dir, kv) = store();
    let put = |numbers: std::ops::Range<usize>| {
        let mut batch = Batch::default();
        numbers.for_each(|number| batch.put(format!("0{number:03}").into_bytes(), vec![b'0']));
        batch
    };
    for settled in [0, 1, PAGE_ENTRIES_MAX - 1, PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX + 1] {
        kv.apply(put(0..settled), Persist::Buffer).expect("applied");
        kv.stage(&mut kv.writer.lock(), put(settled..500)).expect("staged");
        let mut walk = kv.range((Bound::Unbounded, Bound::Unbounded));
        let mut walked: Vec<_> = walk.by_ref().take(settled.min(PAGE_ENTRIES_MAX)).collect();
        kv.settle(&mut kv.writer.lock(), Persist::Buffer).expect("settled");
        walked.extend(walk);
        // What the batch has added is missing from some key on, and not before it.
        for (number, entry) in walked.iter().enumerate() {
            let (key, _) = entry.as_ref().expect("readable");
            assert_eq!(key, format!("0{number:03}").as_bytes(), "{settled} before the batch");
        }
        assert!(walked.len() >= settled);

        let mut remove = Batch::default();
        (0..500).for_each(|number| remove.remove(format!("0{number:03}").into_bytes()));
        kv.apply(remove, Persist::Buffer).expect("applied");
    }
}

#[test]
fn a_large_batch_that_was_interrupted_is_taken_back_or_finished() {
    let before = [("changed", 10), ("grown", 20), ("removed", 30_000), ("shrunk", 100_000)];
    let changes = [
        ("added", Some(90_000)),
        ("changed", Some(11)),
        ("grown", Some(60_000)),
        ("removed", None),
        ("shrunk", Some(1)),
    ];
    let after = [("added", 90_000), ("changed", 11), ("grown", 60_000), ("shrunk", 1)];
    let (mut taken_back, mut finished) = (0, 0);
    for steps_taken in 0.. {
        let (dir, kv) = store();
        kv.apply(batch(&before.map(|(key, length)| (key, Some(length)))), Persist::Sync)
            .expect("applied");
        let mut writer = kv.writer.lock();
        let (mut steps, _) = kv.plan(&mut writer, batch(&changes)).expect("planned");
        assert!(steps.len() > 10);
        let is_whole = steps_taken > steps.len();
        steps.truncate(steps_taken);
        kv.take(&mut writer, steps).expect("taken");
        drop(writer);
        drop(kv);

        let kv = SledKv::open(dir.path()).expect("opened");
        match contents(&kv) {
            found if found == named(&before) && finished == 0 => taken_back += 1,
            found => {
                assert_eq!(found, named(&after), "{steps_taken}");
                finished += 1;
            }
        }
        let in_chunks = contents(&kv).into_iter().filter(|(_, length)| *length > 4095);
        let needed: usize = in_chunks.map(|(_, length)| length.div_ceil(4096)).sum();
        assert_eq!(kv.database.range(layout::chunk_keys()).count(), needed, "{steps_taken}");
        assert_eq!(kv.database.get(layout::NOTE_KEY).expect("read"), None);
        if is_whole {
            break;
        }
    }
    assert!(taken_back > 5 && finished > 5, "{taken_back}, {finished}");
}

#[test]
fn little_is_under_way_between_two_syncs() {
    let (_dir, kv) = store();
    for round in 0..200 {
        let lengths = [300, 4000, 50_000];
        let key = format!("{}", round % 10);
        kv.apply(batch(&[(&key, Some(lengths[round % 3]))]), Persist::Buffer).expect("applied");
        assert!(kv.writer.lock().unsynced <= writer::UNSYNCED_BYTES_MAX);
    }
}

#[test]
fn after_a_failure_readers_keep_to_what_was_committed() {
    let (_dir, kv) = store();
    kv.apply(batch(&[("a", Some(1))]), Persist::Sync).expect("applied");
    kv.stage(&mut kv.writer.lock(), batch(&[("a", Some(2)), ("b", Some(3))])).expect("staged");
    kv.writer.lock().failed = true;
    let refused = kv.apply(batch(&[("c", Some(4))]), Persist::Sync).expect_err("refused");
    assert_eq!(refused.kind(), KvErrorKind::Refused);
    assert_eq!(contents(&kv), named(&[("a", 1)]));
}

#[test]
fn no_value_that_sled_holds_is_over_4_kib() {
    let (_dir, kv) = store();
    let lengths = [0, 1, 4094, 4095, 4096, 4097, 8192, 8193, 1 << 20];
    let keys = lengths.map(|length| format!("{length:07}"));
    let entries: Vec<_> = keys.iter().map(String::as_str).zip(lengths.map(Some)).collect();
    kv.apply(batch(&entries), Persist::Sync).expect("applied");
    assert_eq!(contents(&kv).into_iter().map(|(_, length)| length).collect::<Vec<_>>(), lengths);
    for entry in kv.database.iter() {
        assert!(entry.expect("readable").1.len() <= layout::CHUNK_BYTES);
    }
}

#[test]
fn a_value_that_is_replaced_or_removed_leaves_no_chunks() {
    let (_dir, kv) = store();
    for length in [Some(100_000), Some(50_000), Some(10), Some(70_000), None] {
        kv.apply(batch(&[("key", length)]), Persist::Buffer).expect("applied");
        let chunks = kv.database.range(layout::chunk_keys()).count();
        let expected = length.filter(|length| *length > 4095).unwrap_or(0).div_ceil(4096);
        assert_eq!(chunks, expected);
    }
}

#[test]
fn a_snapshot_that_was_not_finished_does_not_harm() {
    for unfinished in [&b""[..], b"half of it", b"all of it, but for its checksum"] {
        let (dir, kv) = store();
        kv.apply(batch(&[("a", Some(10)), ("b", Some(5000))]), Persist::Sync).expect("applied");
        drop(kv);
        let file = dir.path().join("snap.FFFFFFFFFFFFFFF0.generating");
        std::fs::write(&file, unfinished).expect("written");
        let kv = SledKv::open(dir.path()).expect("opened");
        assert!(!file.exists());
        assert_eq!(contents(&kv), named(&[("a", 10), ("b", 5000)]));
    }
}

#[test]
fn a_finished_snapshot_is_read_although_its_name_is_not_final() {
    let (dir, kv) = store();
    kv.apply(batch(&[("a", Some(10)), ("b", Some(5000))]), Persist::Sync).expect("applied");
    drop(kv);
    drop(SledKv::open(dir.path()).expect("opened"));
    let files = std::fs::read_dir(dir.path()).expect("listed").map(|file| file.expect("read"));
    let is_snapshot = |path: &std::path::PathBuf| path.to_string_lossy().contains("/snap.");
    let last = files.map(|file| file.path()).find(is_snapshot).expect("a snapshot");
    let not_final = last.with_extension(format!(
        "{}.generating",
        last.extension().expect("its position").to_string_lossy()
    ));
    std::fs::rename(&last, &not_final).expect("renamed");
    files::remove_unfinished_snapshots(dir.path()).expect("looked at");
    assert!(not_final.exists());
    assert_eq!(contents(&SledKv::open(dir.path()).expect("opened")).len(), 2);
}

#[test]
fn an_id_is_not_given_twice_after_reopening() {
    let (dir, kv) = store();
    kv.apply(batch(&[("a", Some(5000)), ("b", Some(5000))]), Persist::Sync).expect("applied");
    drop(kv);
    let kv = SledKv::open(dir.path()).expect("opened");
    kv.apply(batch(&[("c", Some(5000))]), Persist::Sync).expect("applied");
    assert_eq!(contents(&kv), named(&[("a", 5000), ("b", 5000), ("c", 5000)]));
}

#[test]
fn a_missing_chunk_is_damage_not_absence() {
    let (_dir, kv) = store();
    kv.apply(batch(&[("key", Some(50_000))]), Persist::Sync).expect("applied");
    let (chunk, _) =
        kv.database.range(layout::chunk_keys()).nth(3).expect("a chunk").expect("read");
    kv.database.remove(chunk).expect("removed");
    assert_eq!(kv.get(b"key").expect_err("damaged").kind(), KvErrorKind::Damaged);
    let walked = kv.range((Bound::Unbounded, Bound::Unbounded)).next().expect("an entry");
    assert_eq!(walked.expect_err("damaged").kind(), KvErrorKind::Damaged);
    // Writing the key anew mends it.
    kv.apply(batch(&[("key", Some(7))]), Persist::Sync).expect("applied");
    assert_eq!(contents(&kv), named(&[("key", 7)]));
}

#[test]
fn a_changed_chunk_is_damage_not_another_value() {
    let (_dir, kv) = store();
    kv.apply(batch(&[("key", Some(50_000))]), Persist::Sync).expect("applied");
    let (chunk, _) =
        kv.database.range(layout::chunk_keys()).nth(3).expect("a chunk").expect("read");
    kv.database.insert(chunk, vec![b'x'; 4096]).expect("changed");
    assert_eq!(kv.get(b"key").expect_err("damaged").kind(), KvErrorKind::Damaged);
}

#[test]
fn a_store_that_has_silently_become_empty_is_damage() {
    let (dir, kv) = store();
    drop(kv);
    File::create(dir.path().join("db")).expect("emptied");
    let error = SledKv::open(dir.path()).err().expect("refused");
    assert_eq!(error.kind(), KvErrorKind::Damaged);
}
