//! The conformance suite of [`Kv`]: one named test per engine and case.
//!
//! ```text
//! meldb_testkit::kv_conformance!(memory, || Open(MemoryKv::new()));
//! meldb_testkit::durable_kv_conformance!(fjall, || InDirectory::new(FjallKv::create, FjallKv::open));
//! ```
//!
//! An engine that keeps its data on disk runs the second macro, which has all cases of the first
//! and those that open the store again. A case is a function in a module below; the list in
//! `kv_cases` names each of them, and a test makes sure that it does.

pub mod basic;
pub mod concurrent;
pub mod durable;
pub mod large;
pub mod range;

use std::{
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, Persist};
use tempfile::TempDir;

/// An engine with an empty store of its own.
pub trait Fixture {
    /// Returns the engine.
    fn kv(&self) -> &dyn Kv;
}

/// A fixture whose store is on disk.
pub trait DurableFixture: Fixture + Sized {
    /// Closes the store and opens it again.
    #[must_use]
    fn reopen(self) -> Self;

    /// Opens a copy of the files as the operating system has them now, which is what the store
    /// would be if the process were killed.
    #[must_use]
    fn killed(&self) -> Self;
}

/// A fixture for an engine that cannot be opened again.
#[derive(Debug)]
pub struct Open<K>(
    /// The engine.
    pub K,
);

impl<K: Kv> Fixture for Open<K> {
    fn kv(&self) -> &dyn Kv {
        &self.0
    }
}

/// How an engine is opened in a directory.
pub type OpenIn<K> = fn(&Path) -> Result<K, KvError>;

/// A fixture for an engine in a temporary directory.
#[derive(Debug)]
pub struct InDirectory<K> {
    // Dropped in this order: the engine writes when it is closed.
    kv: Option<K>,
    dir: TempDir,
    open: OpenIn<K>,
}

impl<K: Kv> InDirectory<K> {
    /// Creates a store and opens it.
    ///
    /// # Panics
    /// Either fails.
    pub fn new(create: OpenIn<()>, open: OpenIn<K>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        create(dir.path()).expect("the store is created");
        Self::opened(dir, open)
    }

    fn opened(dir: TempDir, open: OpenIn<K>) -> Self {
        let kv = open(dir.path()).expect("the store opens");
        Self { kv: Some(kv), dir, open }
    }

    /// Returns the directory.
    pub fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }
}

impl<K: Kv> Fixture for InDirectory<K> {
    fn kv(&self) -> &dyn Kv {
        self.kv.as_ref().expect("the store is open")
    }
}

impl<K: Kv> DurableFixture for InDirectory<K> {
    fn reopen(mut self) -> Self {
        drop(self.kv.take());
        Self::opened(self.dir, self.open)
    }

    fn killed(&self) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy_tree(self.dir.path(), dir.path()).expect("the files are copied");
        Self::opened(dir, self.open)
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// All keys.
pub const ALL: KeyRange = (Bound::Unbounded, Bound::Unbounded);

fn put(kv: &dyn Kv, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) {
    let mut batch = Batch::default();
    batch.put(key.as_ref().to_vec(), value.into());
    kv.apply(batch, Persist::Buffer).expect("the batch is applied");
}

fn remove(kv: &dyn Kv, key: impl AsRef<[u8]>) {
    let mut batch = Batch::default();
    batch.remove(key.as_ref().to_vec());
    kv.apply(batch, Persist::Buffer).expect("the batch is applied");
}

fn get(kv: &dyn Kv, key: impl AsRef<[u8]>) -> Option<Bytes> {
    kv.get(key.as_ref()).expect("the key is read")
}

fn walk(kv: &dyn Kv, range: KeyRange) -> Vec<(Bytes, Bytes)> {
    kv.range(range).collect::<Result<_, _>>().expect("the range is read")
}

fn walk_back(kv: &dyn Kv, range: KeyRange) -> Vec<(Bytes, Bytes)> {
    kv.range(range).rev().collect::<Result<_, _>>().expect("the range is read")
}

/// A value of `length` bytes that differs from its neighbours at any alignment.
fn bytes_of(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ (at as u8) ^ seed).collect()
}

/// Runs the cases that every engine has to pass; `make` returns a [`Fixture`] each time.
#[macro_export]
macro_rules! kv_conformance {
    ($engine:ident, $make:expr) => {
        mod $engine {
            #[allow(unused_imports, reason = "what makes the engine may name it in full")]
            use super::*;
            $crate::kv_cases!($make);
        }
    };
}

/// Runs the cases for an engine on disk; `make` returns a [`DurableFixture`] each time.
#[macro_export]
macro_rules! durable_kv_conformance {
    ($engine:ident, $make:expr) => {
        mod $engine {
            #[allow(unused_imports, reason = "what makes the engine may name it in full")]
            use super::*;
            $crate::kv_cases!($make);
            $crate::durable_kv_cases!($make);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! kv_tests {
    ($make:expr; $($group:ident::$case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::kv_suite::$group::$case(&($make)());
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! kv_cases {
    ($make:expr) => {
        $crate::kv_tests! { $make;
            basic::get_returns_what_was_put,
            basic::a_key_that_was_never_put_is_absent,
            basic::a_put_replaces_the_value,
            basic::a_removed_key_is_absent,
            basic::removing_an_absent_key_is_no_error,
            basic::an_empty_value_is_not_an_absent_one,
            basic::keys_and_values_hold_any_bytes,
            basic::a_batch_puts_and_removes_together,
            basic::an_empty_batch_changes_nothing,
            basic::a_value_that_was_read_stays_as_it_was,
            basic::compacting_changes_nothing_that_is_read,
            basic::any_sequence_of_batches_agrees_with_a_sorted_map,
            range::keys_come_in_the_order_of_their_bytes,
            range::every_combination_of_bounds_agrees_with_a_sorted_map,
            range::bounds_the_wrong_way_round_hold_nothing,
            range::the_reverse_is_the_same_backwards,
            range::both_ends_meet_anywhere,
            range::an_empty_store_has_an_empty_range,
            range::ten_thousand_keys_come_once_from_either_end,
            range::a_range_skips_what_was_removed,
            large::values_of_every_length_come_back,
            large::large_values_come_back_in_a_range,
            large::a_key_grows_and_shrinks,
            large::a_removed_large_value_leaves_nothing,
            large::a_batch_of_large_values_is_applied,
            concurrent::a_reader_never_sees_half_a_value,
            concurrent::a_reader_never_goes_back_in_time,
            concurrent::a_reader_never_sees_half_a_batch,
            concurrent::the_start_of_a_range_shows_a_batch_whole,
            concurrent::every_thread_sees_what_apply_has_returned_for,
            concurrent::a_range_returns_each_stable_key_once_during_writes,
            concurrent::a_range_over_a_growing_sequence_has_no_gaps,
            concurrent::a_slow_range_over_a_growing_sequence_has_no_gaps,
            concurrent::many_threads_apply_at_once,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! durable_kv_cases {
    ($make:expr) => {
        mod on_disk {
            #[allow(unused_imports, reason = "what makes the engine may name it in full")]
            use super::*;
            $crate::kv_tests_owned! { $make;
                durable::reopening_keeps_everything,
                durable::reopening_keeps_removals,
                durable::reopening_an_unchanged_store_changes_nothing,
                durable::reopening_many_times_keeps_the_last_of_each,
                durable::a_buffered_batch_survives_a_kill,
                durable::a_synced_batch_survives_a_kill,
                durable::an_empty_batch_is_a_sync,
                durable::a_kill_keeps_the_batches_in_order,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! kv_tests_owned {
    ($make:expr; $($group:ident::$case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::kv_suite::$group::$case(($make)());
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that nobody lists would never run.
    #[test]
    fn every_case_is_listed() {
        let list = include_str!("kv_suite.rs");
        let groups = [
            ("basic", include_str!("kv_suite/basic.rs")),
            ("concurrent", include_str!("kv_suite/concurrent.rs")),
            ("durable", include_str!("kv_suite/durable.rs")),
            ("large", include_str!("kv_suite/large.rs")),
            ("range", include_str!("kv_suite/range.rs")),
        ];
        for (group, source) in groups {
            let cases = source.lines().filter_map(|line| line.strip_prefix("pub fn "));
            for case in cases.filter_map(|rest| rest.split('(').next()) {
                assert!(list.contains(&format!("{group}::{case},")), "{group}::{case}");
            }
        }
    }
}
