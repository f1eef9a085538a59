//! Panics of an engine, turned into errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{KvError, KvErrorKind};

/// Calls `open` and reports a panic in it as damage.
///
/// Both engines assert what they expect to find in their files, so that files which rot or a stray
/// hand has touched end in a panic. What `open` was building is dropped, so nothing half-made is
/// ever looked at again.
pub(super) fn opening<T>(open: impl FnOnce() -> Result<T, KvError>) -> Result<T, KvError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        let message = format!("the engine gave up on its files while opening them: {text}");
        Err(KvError::new(KvErrorKind::Damaged, message))
    })
}
