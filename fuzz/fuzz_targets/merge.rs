//! A merge by splice equals a merge by the oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|case: meldb_fuzz::Case| {
    meldb_fuzz::check_merge(&case);
});
