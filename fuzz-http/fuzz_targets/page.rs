//! A cursor that was not given for a list is refused by it.

#![no_main]

libfuzzer_sys::fuzz_target!(|paging: meldb_fuzz_http::Paging| {
    meldb_fuzz_http::check_page(&paging);
});
