//! A text that is taken for a filter reads back as it is written, and no text panics.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    meldb_fuzz::check_filter_text(text);
});
