//! A reader that goes on from any text goes on without a gap, or is told that it cannot.

#![no_main]

libfuzzer_sys::fuzz_target!(|followed: meldb_fuzz::Followed| {
    meldb_fuzz::check_cursor(&followed);
});
