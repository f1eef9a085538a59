//! Bytes that change in files at rest: told as damage, or harmless, and never another record.

use super::{
    SECTOR_BYTES,
    disk::SimDisk,
    model::{self, Expected, STORE, Tested, small_files},
};
use crate::{
    engine::{
        Persist,
        local::log::scan::{LogScan, scan_in},
    },
    types::Error,
};

/// Returns a log of several files, one of them free, with what is left of earlier lives, and what is
/// in it. All records are synced.
fn log_of_many_lives(is_closed: bool) -> (SimDisk, Expected) {
    let mut settings = small_files();
    settings.file_bytes_max = settings.file_bytes_first;
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), settings).expect("a log");
    for n in 0..30 {
        assert_eq!(tested.append(100 + 61 * (n % 9), Persist::Sync), Some(true));
        if n % 10 == 5 {
            tested.checkpoint();
        }
        if n == 15 {
            tested = tested.after_kill().expect("opened");
        }
    }
    let tested = if is_closed { tested.after_close() } else { tested.after_kill() };
    let Tested { disk, log, expected, .. } = tested.expect("opened");
    drop(log);
    (disk, expected)
}

/// Opens a damaged log. Returns whether it was told that it is; an error is a wrong answer.
fn open(disk: &SimDisk, expected: &Expected, is_closed: bool) -> Result<bool, String> {
    match model::open_or_error(disk, &small_files(), expected.contained) {
        Ok((_log, found, _)) => {
            let mut expected = expected.clone();
            // What tells a last record that has rotted from one that a crash has cut?
            expected.synced -= u64::from(!is_closed);
            model::compare(&expected, &found).map(|()| false)
        }
        Err(Error::Damaged { .. }) => Ok(true),
        Err(other) => Err(format!("the error does not speak of damage: {other}")),
    }
}

fn scan(disk: &SimDisk, after: Option<u64>) -> LogScan {
    scan_in((&*disk.log_dir(), &*disk.store_dir()), STORE, after).expect("scanned")
}

/// Returns how many of the wanted records can be saved.
fn saved(disk: &SimDisk, expected: &Expected) -> usize {
    let records = scan(disk, Some(expected.contained)).filter_map(|step| match step {
        Ok(record) => Some(record),
        Err(Error::Damaged { .. }) => None,
        Err(error) => panic!("{error}"),
    });
    let good = records.filter(|record| {
        assert_eq!(expected.records.get(&record.sequence), Some(&record.payload));
        true
    });
    good.count()
}

fn each_byte(is_closed: bool, damage: impl Fn(&mut Vec<u8>, usize)) {
    let (disk, expected) = log_of_many_lives(is_closed);
    let wanted = (expected.last() - expected.contained) as usize;
    assert!(wanted > 3);
    assert_eq!(saved(&disk, &expected), wanted);
    let (mut told, mut harmless) = (0, 0);
    for name in disk.names("store/log") {
        // Every byte that says something, and some of those that are zero.
        let says_something = |at: usize| at >= 4096 || at % 2048 < 64 || at.is_multiple_of(97);
        for at in (0..disk.bytes_of("store/log", &name)).filter(|at| says_something(*at)) {
            let rotten = disk.copy();
            rotten.edit("store/log", &name, |bytes| damage(bytes, at));
            match open(&rotten, &expected, is_closed) {
                Ok(true) => told += 1,
                Ok(false) => harmless += 1,
                Err(wrong) => panic!("{name}, byte {at}: {wrong}"),
            }
            saved(&rotten, &expected);
        }
    }
    assert!(told > 500 && harmless > 500, "{told} told, {harmless} harmless");
}

#[test]
fn a_flipped_bit_of_a_closed_log_is_told_or_harmless() {
    each_byte(true, |bytes, at| bytes[at] ^= 1 << (at % 8));
}

#[test]
fn a_flipped_bit_of_a_log_that_was_not_closed_is_told_or_harmless() {
    each_byte(false, |bytes, at| bytes[at] ^= 1 << (at % 8));
}

#[test]
fn zeros_in_a_closed_log_are_told_or_harmless() {
    each_byte(true, |bytes, at| {
        let end = bytes.len().min(at + 512);
        bytes[at..end].fill(0);
    });
}

#[test]
fn a_closed_log_that_is_cut_short_is_told_or_harmless() {
    each_byte(true, Vec::truncate);
}

#[test]
fn damage_in_the_middle_saves_both_sides() {
    let (disk, expected) = log_of_many_lives(true);
    let wanted = (expected.last() - expected.contained) as usize;
    let records: Vec<_> =
        scan(&disk, Some(expected.contained)).map(|step| step.expect("whole")).collect();
    let middle = &records[records.len() / 2];
    let name = middle.file.file_name().and_then(|name| name.to_str()).expect("a name");
    disk.edit("store/log", name, |bytes| bytes[middle.offset as usize + 40] ^= 1);
    assert_eq!(saved(&disk, &expected), wanted - 1);
    let damage: Vec<_> =
        scan(&disk, Some(expected.contained)).filter_map(|step| step.err()).collect();
    let [Error::Damaged { what, reason }] = &damage[..] else { panic!("{damage:?}") };
    assert!(what.ends_with(name), "{what}");
    let (sequence, offset) = (middle.sequence, middle.offset);
    let missing = format!("record {sequence} is missing or damaged, and record {}", sequence + 1);
    assert!(reason.contains(&missing), "{reason}");
    assert!(reason.contains(&format!("(at byte {offset})")), "{reason}");
    let error = model::open(&disk, &small_files(), expected.contained).err().expect("refused");
    assert!(error.contains(&format!("record {} is missing", middle.sequence)), "{error}");
}

#[test]
fn a_closed_log_that_lost_its_last_120_bytes_says_so_and_the_rest_is_saved() {
    let (disk, expected) = log_of_many_lives(true);
    let wanted = (expected.last() - expected.contained) as usize;
    let last = scan(&disk, None).last().expect("a record").expect("whole");
    let name = last.file.file_name().and_then(|name| name.to_str()).expect("a name");
    let end = last.offset as usize + 32 + last.payload.len();
    disk.edit("store/log", name, |bytes| bytes[end - 120..end].fill(0));
    let error = model::open(&disk, &small_files(), expected.contained).err().expect("refused");
    assert!(error.contains("its end is lost"), "{error}");
    assert_eq!(saved(&disk, &expected), wanted - 1);
    for after in [None, Some(expected.contained)] {
        let error = scan(&disk, after).last().expect("a step").expect_err("told");
        assert!(error.to_string().contains("its end is lost"), "{error}");
    }
    assert!(scan(&disk, Some(expected.last())).next().is_none());
    // If the tables contain all of it, nothing is lost.
    model::open(&disk, &small_files(), expected.last()).expect("opened");
}

#[test]
fn a_file_that_is_gone_costs_the_records_in_it_alone() {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    for _ in 0..20 {
        assert_eq!(tested.append(3000, Persist::Sync), Some(true));
    }
    let Tested { disk, log, expected, .. } = tested.after_close().expect("opened");
    drop(log);
    let records: Vec<_> =
        scan(&disk, Some(expected.contained)).map(|step| step.expect("whole")).collect();
    let mut files: Vec<_> = records.iter().map(|record| record.file.clone()).collect();
    files.dedup();
    assert!(files.len() > 2, "{files:?}");
    for gone in &files {
        let name = gone.file_name().and_then(|name| name.to_str()).expect("a name");
        let without = disk.copy();
        without.log_dir().remove(name).expect("removed");
        let kept = records.iter().filter(|record| record.file != *gone).count();
        assert_eq!(saved(&without, &expected), kept, "without {name}");
        assert!(scan(&without, Some(expected.contained)).any(|step| step.is_err()), "{name}");
    }
}

#[test]
fn a_damaged_marker_is_told_and_that_of_another_store_says_nothing() {
    let (disk, expected) = log_of_many_lives(true);
    for at in 0..disk.bytes_of("store", "closed") {
        let rotten = disk.copy();
        rotten.edit("store", "closed", |bytes| bytes[at] ^= 1);
        assert_eq!(open(&rotten, &expected, true), Ok(true));
    }
    let other = SimDisk::new(SECTOR_BYTES);
    let marker = crate::engine::local::log::marker::Marker {
        store: crate::store_id::StoreId::from_bytes([1; 16]),
        sequence: 1 << 40,
        file: 1 << 40,
    };
    marker.write(&*other.store_dir()).expect("written");
    let mut text = Vec::new();
    other.edit("store", "closed", |bytes| text.clone_from(bytes));
    disk.edit("store", "closed", |bytes| *bytes = text);
    assert_eq!(open(&disk, &expected, true), Ok(false));
}

#[test]
fn a_file_of_another_store_and_a_copy_of_a_file_are_told() {
    let (disk, expected) = log_of_many_lives(true);
    let name = disk.names("store/log").remove(0);
    let mut bytes = Vec::new();
    disk.edit("store/log", &name, |file| bytes.clone_from(file));
    let dir = disk.log_dir();
    let file = dir.create("0077.log").expect("created");
    file.write_at(&bytes, 0).expect("written");
    assert_eq!(open(&disk, &expected, true), Ok(true));
    dir.remove("0077.log").expect("removed");
    assert_eq!(open(&disk, &expected, true), Ok(false));
    let other = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    let foreign =
        other.disk.log_dir().open("0001.log", crate::engine::local::log::files::Access::Read);
    let mut bytes = vec![0; 4096];
    foreign.expect("opened").read_at(&mut bytes, 0).expect("read");
    let foreign = crate::engine::local::log::header::Header {
        store: crate::store_id::StoreId::from_bytes([1; 16]),
        ..crate::engine::local::log::header::Header::decode(&bytes).expect("a header")
    };
    let file = dir.create("0078.log").expect("created");
    file.write_at(&foreign.encode(), 0).expect("written");
    assert_eq!(open(&disk, &expected, true), Ok(true));
}
