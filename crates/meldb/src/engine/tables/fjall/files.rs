//! Checks of fjall's files before they are opened, because fjall makes none.
//!
//! - A directory without a version or a journal would become an empty store, or one without its last
//!   writes, where some other store had its data.
//! - Each tree has a list of its tables, the file `vN`, and names it in `current` together with its
//!   XXH3 (lsm-tree 3.1.10, `version/persist.rs`). Reading it, lsm-tree checks nothing: a damaged list
//!   may lack tables, or ask for more memory than there is, which ends the process.

use std::{fs, io, path::Path};

use twox_hash::XxHash3_128;

use super::failure::damaged;
use crate::engine::EngineError;

/// The bytes of `current`: the list's number, its XXH3 of 128 bits, and the kind of checksum.
const CURRENT_BYTES: usize = 8 + 16 + 1;

/// Refuses a directory whose files are not as fjall has left them.
pub(super) fn check(dir: &Path) -> Result<(), EngineError> {
    if !dir.join("version").exists() {
        return Err(damaged("fjall's version file is missing"));
    }
    let mut has_journal = false;
    for entry in fs::read_dir(dir)? {
        has_journal |= entry?.path().extension().is_some_and(|extension| extension == "jnl");
    }
    if !has_journal {
        return Err(damaged("fjall's journal is missing, and the last writes with it"));
    }
    for tree in fs::read_dir(dir.join("keyspaces"))? {
        check_tree(&tree?.path())?;
    }
    Ok(())
}

/// Checks the list of a tree's tables. All trees were made with the store, so that each has one.
fn check_tree(tree: &Path) -> Result<(), EngineError> {
    let file = tree.join("current");
    let broken = |what: &str| Err(damaged(&format!("{} {what}", file.display())));
    let current = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return broken("is missing"),
        current => current?,
    };
    let Ok(current) = <[u8; CURRENT_BYTES]>::try_from(current) else {
        return broken("has another length than fjall gives it");
    };
    let [number @ .., _] = &current;
    let (Some((number, checksum)), 0) = (number.split_first_chunk(), current[24]) else {
        return broken("names a checksum that fjall does not have");
    };
    let list = tree.join(format!("v{}", u64::from_le_bytes(*number)));
    let text = match fs::read(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return broken("names a list of tables that is missing");
        }
        text => text?,
    };
    if XxHash3_128::oneshot(&text).to_le_bytes() != checksum {
        return Err(damaged(&format!("{} does not have its checksum", list.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::FjallTables;
    use crate::engine::EngineErrorKind;

    fn open(dir: &std::path::Path) -> Result<FjallTables, crate::engine::EngineError> {
        FjallTables::open(dir, 1 << 20)
    }

    #[test]
    fn a_damaged_or_missing_list_of_tables_is_refused_and_named() {
        let dir = tempfile::tempdir().expect("the file system works");
        FjallTables::create(dir.path()).expect("the file system works");
        drop(open(dir.path()).expect("the file system works"));
        let tree = dir.path().join("keyspaces").join("1");
        let mut tried = 0;
        for entry in std::fs::read_dir(&tree).expect("the file system works") {
            let file = entry.expect("the file system works").path();
            if !file.is_file() {
                continue;
            }
            let sound = std::fs::read(&file).expect("the file system works");
            let mut damages: Vec<Vec<u8>> = vec![sound[..sound.len() - 1].to_vec(), Vec::new()];
            damages.extend((0..sound.len()).map(|at| {
                let mut flipped = sound.clone();
                flipped[at] ^= 0x40;
                flipped
            }));
            for damage in damages {
                std::fs::write(&file, damage).expect("the file system works");
                let error = open(dir.path()).err().expect("it is refused");
                assert_eq!(error.kind(), EngineErrorKind::Damaged, "{error}");
                assert!(error.to_string().contains("keyspaces/1"), "{error}");
                tried += 1;
            }
            std::fs::remove_file(&file).expect("the file system works");
            let error = open(dir.path()).err().expect("it is refused");
            assert_eq!(error.kind(), EngineErrorKind::Damaged, "{error}");
            std::fs::write(&file, sound).expect("the file system works");
            drop(open(dir.path()).expect("the file system works"));
        }
        assert!(tried > 100, "{tried}");
    }
}
