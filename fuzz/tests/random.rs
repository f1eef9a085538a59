//! The fuzz targets of the whole store, over random bytes: a short run for everybody.

use arbitrary::{Arbitrary, Unstructured};
use meldb_fuzz::{
    Followed, Harm, Place, Step, check_cursor, check_keys, check_model, check_stored,
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
