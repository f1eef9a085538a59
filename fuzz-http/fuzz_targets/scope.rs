//! A key may do what its scope says, and nothing else, however a path is written.

#![no_main]

libfuzzer_sys::fuzz_target!(|asked: meldb_fuzz_http::Asked| {
    meldb_fuzz_http::check_scope(&asked);
});
