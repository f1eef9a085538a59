//! Panics of an engine, turned into errors.

#[cfg(feature = "sled")]
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{EngineError, EngineErrorKind};

/// Calls `open` and reports a panic in it as damage.
///
/// Both engines assert what they expect to find in their files, so that files which rot or a stray
/// hand has touched end in a panic. What `open` was building is dropped, so nothing half-made is
/// ever looked at again.
pub(in crate::engine) fn opening<T>(
    open: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        let message = format!("the engine gave up on its files while opening them: {text}");
        Err(EngineError::new(EngineErrorKind::Damaged, message))
    })
}

/// What an engine has open; a panic while it is closed is logged and goes no further.
///
/// sled asserts that its last sync succeeds. Whoever closes a store whose disk has failed knows of
/// that already, and is not to lose the process over it.
#[cfg(feature = "sled")]
pub(in crate::engine) struct Closing<T>(Option<T>);

#[cfg(feature = "sled")]
impl<T> Closing<T> {
    /// Returns `open`, to be closed with care.
    pub(in crate::engine) fn new(open: T) -> Self {
        Self(Some(open))
    }
}

#[cfg(feature = "sled")]
impl<T> Deref for Closing<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken out only when it is dropped")
    }
}

#[cfg(feature = "sled")]
impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        let open = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(open))).is_err() {
            tracing::error!("the engine failed while it was closed");
        }
    }
}
