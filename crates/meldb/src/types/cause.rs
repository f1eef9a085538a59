//! Errors that led to other errors: how they are held, and how a chain of them is shown.

use std::{error::Error as StdError, fmt, ops::Deref, sync::Arc};

/// The error that led to another one, shared so that the latter can be cloned.
///
/// It derefs to the error itself. That, and not this, is what [`std::error::Error::source`] returns, so that it can be
/// downcast.
// IMPORTANT: no `Error` itself. If it were one, `thiserror` would return it as the source in place of what it holds.
pub struct Cause<E>(Arc<E>);

impl<E> From<E> for Cause<E> {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl<E> Clone for Cause<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Deref for Cause<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E: fmt::Debug> fmt::Debug for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns an error with what led to it, in one line: `ERROR: CAUSE: CAUSE`.
///
/// The `Display` of an error of this crate says what failed and what to do, and leaves the cause to
/// [`source`](std::error::Error::source). Whatever prints whole chains, such as `{:#}` of `anyhow`, prints each text once.
///
/// ```
/// use meldb::{Store, with_causes};
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let file = dir.path().join("file");
/// std::fs::write(&file, "").expect("written");
/// let error = Store::open(file.join("store")).expect_err("a file is no directory");
/// println!("{}", with_causes(&error));
/// ```
pub fn with_causes<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + 'a {
    WithCauses(error)
}

struct WithCauses<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
