//! A whole store equals a map, closing and opening included.

#![no_main]

libfuzzer_sys::fuzz_target!(|steps: Vec<meldb_fuzz::Step>| {
    meldb_fuzz::check_model(&steps);
});
