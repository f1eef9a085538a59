//! A merge into bytes that rot has touched does not panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: (meldb_fuzz::Case, Vec<u8>)| {
    meldb_fuzz::check_damaged(&input.0, &input.1);
});
