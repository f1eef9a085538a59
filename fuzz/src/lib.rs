//! The exact oracle of the merge: the `json-patch` crate over numbers of any precision.
//!
//! Shared by the fuzz targets, which draw their bytes from coverage, and by the tests, which draw
//! them at random. This package is a workspace of its own, because the features that make the
//! oracle exact must not be switched on in the crates that parse untrusted data.

mod check;
mod generate;
mod model;
mod shared;
mod stored;

pub use check::{check_canonical, check_damaged, check_merge};
pub use generate::Case;
pub use model::{Step, check_model};
pub use stored::{Harm, check_stored};
