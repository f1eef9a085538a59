//! The fuzz targets over random bytes: a short run for everybody.

use arbitrary::{Arbitrary, Unstructured};
use meldb_fuzz_http::{check_body, check_connection, check_page, check_scope};
use meldb_testkit::random::Random;

/// Checks so many cases, of up to `bytes` bytes each.
fn cases<T: for<'a> Arbitrary<'a>>(count: u64, bytes: u64, check: impl Fn(&T)) {
    for seed in 0..count {
        let mut random = Random::new(seed);
        // Most bytes stand for a piece of text, and some for a letter.
        let byte = |random: &mut Random| match random.below(16) {
            0 => random.below(256) as u8,
            _ => random.below(128) as u8,
        };
        let length = 8 + random.below(bytes - 8);
        let bytes: Vec<u8> = (0..length).map(|_| byte(&mut random)).collect();
        let case = T::arbitrary_take_rest(Unstructured::new(&bytes)).expect("a case");
        check(&case);
    }
}

#[test]
fn a_body_is_written_whole_or_nothing_is_changed() {
    cases(4_000, 40, check_body);
}

#[test]
fn a_cursor_goes_on_where_it_was_given_and_nowhere_else() {
    cases(2_000, 40, check_page);
}

#[test]
fn a_key_may_do_what_its_scope_says_and_nothing_else() {
    cases(8_000, 16, check_scope);
}

#[test]
fn a_connection_ends_in_time_and_leaves_nothing_behind() {
    cases(2_000, 400, check_connection);
}
