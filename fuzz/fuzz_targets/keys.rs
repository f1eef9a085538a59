//! Names of every kind lie in a store in their order, and lead back to what they name.

#![no_main]

libfuzzer_sys::fuzz_target!(|places: Vec<meldb_fuzz::Place>| {
    meldb_fuzz::check_keys(&places);
});
