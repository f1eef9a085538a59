//! Errors for corrupt records.

use super::record::Damage;
use crate::types::Error;

/// How the name of a damaged record begins in an error.
pub(super) const A_RECORD: &str = "the record";

/// Returns the error for a record that is not as it was written.
pub(super) fn damaged(key: &[u8], damage: Damage) -> Error {
    damaged_because(key, damage.0.to_owned())
}

/// Returns the error for the record at `key`, of which `reason` says what does not hold.
pub(super) fn damaged_because(key: &[u8], reason: String) -> Error {
    let readable = String::from_utf8_lossy(key).replace('\0', "/");
    Error::Damaged { what: format!("{A_RECORD} {readable:?}"), reason }
}
