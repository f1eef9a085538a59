//! Bugs that tests plant, to see that they would be found.

use std::cell::Cell;

thread_local! {
    /// The checksums of records do not depend on the number of their file.
    pub(crate) static SEED_WITHOUT_NUMBER: Cell<bool> = const { Cell::new(false) };
}
