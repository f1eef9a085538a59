//! A disk that becomes full, and has space again.

use super::{
    SECTOR_BYTES,
    disk::{Fault, SimDisk, TOTAL_BYTES},
    model::{Tested, small_files},
};
use crate::engine::{EngineErrorKind, Persist, local::log::LogSettings};

#[test]
fn less_than_the_reserve_is_a_shortage_until_there_is_more() {
    let default = TOTAL_BYTES / 16;
    for (reserve_bytes, kept) in [(None, default), (Some(1000), 1000), (Some(0), 0)] {
        let disk = SimDisk::new(SECTOR_BYTES);
        let settings = LogSettings { reserve_bytes, ..small_files() };
        let mut tested = Tested::create(disk.clone(), settings).expect("a log");
        assert!(tested.log.shortage().is_none());
        disk.leave(kept);
        assert!(tested.log.shortage().is_none(), "{kept} bytes are enough");
        if kept > 0 {
            disk.leave(kept - 1);
            let shortage = tested.log.shortage().expect("it is short");
            assert_eq!(shortage.kind(), EngineErrorKind::StorageFull);
            assert!(shortage.to_string().contains(&format!("{kept} are kept")), "{shortage}");
        }
        // What makes the store smaller may be appended all the same.
        assert_eq!(tested.append(3000, Persist::Sync), Some(true));
        disk.leave(TOTAL_BYTES);
        assert!(tested.log.shortage().is_none(), "it has ended by itself");
    }
}

#[test]
fn a_full_disk_is_a_shortage_before_the_file_is_full_and_ends_by_itself() {
    let disk = SimDisk::new(SECTOR_BYTES);
    let mut tested = Tested::create(disk.clone(), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Sync), Some(true));
    disk.fail(1, Fault::NoSpace);
    let mut appended_in_reserve = 0;
    while tested.append(500, Persist::Buffer) == Some(true) {
        appended_in_reserve += u64::from(tested.log.shortage().is_some());
        assert!(appended_in_reserve < 1000, "the disk is full");
    }
    assert!(appended_in_reserve > 3, "{appended_in_reserve}");
    assert!(tested.log.failure().is_none());
    assert_eq!(tested.log.shortage().map(|error| error.kind()), Some(EngineErrorKind::StorageFull));
    disk.mend();
    // Nobody may append while it is short, so that asking must end it.
    tested.log.shortage();
    assert!(tested.log.shortage().is_none());
    assert_eq!(tested.append(500, Persist::Sync), Some(true));
    tested.after_close().expect("all is there");
}
