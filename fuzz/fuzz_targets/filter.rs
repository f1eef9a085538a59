//! A filter holds where the plain evaluation of exact values does.

#![no_main]

libfuzzer_sys::fuzz_target!(|asked: meldb_fuzz::Asked| {
    meldb_fuzz::check_filter(&asked);
});
