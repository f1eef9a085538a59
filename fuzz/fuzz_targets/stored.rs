//! Whatever bytes an engine returns, a store reads them or calls them damaged.

#![no_main]

libfuzzer_sys::fuzz_target!(|harms: Vec<meldb_fuzz::Harm>| {
    meldb_fuzz::check_stored(&harms);
});
