//! The fuzz targets of the whole store, over random bytes: a short run for everybody.

use arbitrary::{Arbitrary, Unstructured};
use meldb_fuzz::{Harm, Step, check_model, check_stored};
use rand::{RngExt, SeedableRng, rngs::StdRng};

fn cases<T: for<'a> Arbitrary<'a>>(count: u64, bytes: usize, check: impl Fn(&[T])) {
    for seed in 0..count {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..bytes).map(|_| random.random()).collect();
        let case = Vec::<T>::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes");
        check(&case);
    }
}

#[test]
fn a_store_equals_a_map() {
    cases::<Step>(1_500, 2_000, check_model);
}

#[test]
fn what_is_not_as_it_was_stored_is_called_damaged() {
    cases::<Harm>(3_000, 60, check_stored);
}
