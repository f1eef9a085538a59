//! Whatever a body holds, it is written whole, or refused and nothing is changed.

#![no_main]

libfuzzer_sys::fuzz_target!(|sent: meldb_fuzz_http::Sent| {
    meldb_fuzz_http::check_body(&sent);
});
