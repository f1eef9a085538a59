//! Any bytes are accepted or refused rightly, and kept.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    meldb_fuzz::check_canonical(bytes);
});
