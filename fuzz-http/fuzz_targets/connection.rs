//! Whatever bytes come on a connection, the server ends it in time, and then holds nothing for it.

#![no_main]

libfuzzer_sys::fuzz_target!(|spoken: meldb_fuzz_http::Spoken| {
    meldb_fuzz_http::check_connection(&spoken);
});
