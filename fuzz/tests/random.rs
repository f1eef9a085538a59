//! The fuzz targets of the whole store, over random bytes: a short run for everybody.

use arbitrary::{Arbitrary, Unstructured};
use meldb_fuzz::{
    Asked, Followed, Harm, Place, Step, check_cursor, check_filter, check_filter_text, check_keys,
    check_model, check_stored,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

fn cases<T: for<'a> Arbitrary<'a>>(count: u64, bytes: usize, check: impl Fn(&T)) {
    for seed in 0..count {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..bytes).map(|_| random.random()).collect();
        let case = T::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes");
        check(&case);
    }
}

#[test]
fn a_store_equals_a_map() {
    cases::<Vec<Step>>(1_500, 2_000, |steps| check_model(steps));
}

#[test]
fn what_is_not_as_it_was_stored_is_called_damaged() {
    cases::<Vec<Harm>>(3_000, 60, |harms| check_stored(harms));
}

#[test]
fn names_lie_in_their_order_and_lead_back() {
    cases::<Vec<Place>>(3_000, 200, |places| check_keys(places));
}

#[test]
fn a_reader_goes_on_without_a_gap_or_is_told() {
    cases::<Followed>(3_000, 300, check_cursor);
}

#[test]
fn a_filter_holds_where_the_plain_evaluation_of_exact_values_does() {
    cases::<Asked>(20_000, 3_000, check_filter);
}

#[test]
fn a_text_that_is_taken_for_a_filter_reads_back_as_it_is_written() {
    const PARTS: &[&str] = &[
        "a",
        "\"b c\"",
        ".",
        " = ",
        "!=",
        "<=",
        ">",
        "^=",
        " in ",
        " has ",
        " missing",
        " exists",
        " and ",
        " or ",
        "(",
        ")",
        "[",
        "]",
        ",",
        "1",
        "\"x\"",
        "-1.5e3",
        "true",
        "null",
        "{\"k\":1}",
        "$id",
        "$",
        "\n",
        "é",
        "\\",
    ];
    for seed in 0..20_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let parts = random.random_range(1..24);
        let text: String = (0..parts).map(|_| PARTS[random.random_range(0..PARTS.len())]).collect();
        check_filter_text(text.as_bytes());
    }
}
