//! The exact oracle of the merge: the `json-patch` crate over numbers of any precision.
//!
//! Shared by the fuzz targets, which draw their bytes from coverage, and by the tests, which draw
//! them at random. This package is a workspace of its own, because the features that make the
//! oracle exact must not be switched on in the crates that parse untrusted data.

mod check;
mod cursor;
mod filter;
mod generate;
mod keys;
mod model;
mod stored;

use arbitrary::{Arbitrary, Unstructured};

pub use check::{check_canonical, check_damaged, check_merge};
pub use cursor::{Followed, check_cursor};
pub use filter::{Asked, check_filter, check_filter_text};
pub use generate::Case;
pub use keys::{Place, check_keys};
pub use model::{Step, check_model};
pub use stored::{Harm, check_stored};

/// A target: its name, and what it does with the bytes that a fuzzer made.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, for those who have the bytes already.
pub const TARGETS: [Target; 9] = [
    ("canonicalise", check_canonical),
    ("cursor", |bytes| read(bytes, |followed: Followed| check_cursor(&followed))),
    ("damaged", |bytes| read(bytes, |(case, base): (Case, Vec<u8>)| check_damaged(&case, &base))),
    ("filter", |bytes| read(bytes, |asked: Asked| check_filter(&asked))),
    ("filter_text", check_filter_text),
    ("keys", |bytes| read(bytes, |places: Vec<Place>| check_keys(&places))),
    ("merge", |bytes| read(bytes, |case: Case| check_merge(&case))),
    ("model", |bytes| read(bytes, |steps: Vec<Step>| check_model(&steps))),
    ("stored", |bytes| read(bytes, |harms: Vec<Harm>| check_stored(&harms))),
];

/// Reads a case from bytes as libFuzzer's targets do, and checks it.
fn read<'a, T: Arbitrary<'a>>(bytes: &'a [u8], check: impl FnOnce(T)) {
    if let Ok(case) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        check(case);
    }
}
