//! Inserts of several rows.

use std::sync::OnceLock;

/// An insert of several rows of one tenant, written out for each number of them that is a power of two: Citus
/// sends `VALUES` to one shard, and makes a commit of two phases of an `INSERT … SELECT`.
pub(in super::super) struct InsertRows {
    /// What is before the rows.
    head: &'static str,
    /// A row, with `?` for each of its own values; the others, from `$1` on, are of all rows.
    row: &'static str,
    tail: &'static str,
    texts: [OnceLock<String>; INSERT_SIZES],
}

/// How many sizes of an insert there are.
pub(super) const INSERT_SIZES: usize = 7;

impl InsertRows {
    pub(super) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, texts: [const { OnceLock::new() }; INSERT_SIZES] }
    }

    /// Returns the largest number of rows that one of its statements has, of `rows` at most.
    pub(in super::super) fn size(rows: usize) -> usize {
        1 << rows.max(1).ilog2().min(INSERT_SIZES as u32 - 1)
    }

    /// Returns the statement for a number of rows that [`size`](Self::size) has returned. The values that are of
    /// all rows come first, and then those of each row.
    pub(in super::super) fn of(&'static self, rows: usize) -> &'static str {
        self.texts[rows.ilog2() as usize].get_or_init(|| {
            let mut value = self.row.matches('$').count();
            let row = || {
                let mut parts = self.row.split('?');
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |row, part| {
                    value += 1;
                    format!("{row}${value}{part}")
                })
            };
            let rows: Vec<_> = std::iter::repeat_with(row).take(rows).collect();
            format!("{} VALUES {} {}", self.head, rows.join(", "), self.tail)
        })
    }
}
