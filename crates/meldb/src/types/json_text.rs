//! JSON that write verbs take: any serde value, or JSON text.

use std::borrow::Cow;

use serde::Serialize;

use super::{Error, Result, finite::has_non_finite};
use crate::json::{TextError, TextErrorKind, error::Fault};

/// JSON text that is handed to a verb as it is, without a detour through serde.
///
/// ```
/// use meldb::{JsonText, Store};
///
/// let store = Store::in_memory()?;
/// let prices = store.tenant("shop")?.collection("prices")?;
/// let written = prices.put("tea", JsonText(r#"{"net": 12.50}"#)).commit("importer")?;
/// assert!(written.document.as_text()?.ends_with("\"net\":12.50}"));
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct JsonText<T>(pub T);

/// A value that a write verb takes as JSON: whatever serde can serialize, or [`JsonText`].
pub trait ToJson {
    /// Returns the value as JSON text; it is checked later.
    ///
    /// # Errors
    /// [`Error::Serialize`] if the value's `Serialize` fails, or it has a number that is NaN or infinite;
    /// [`Error::InvalidText`] if it is a string.
    fn to_json(&self) -> Result<Cow<'_, [u8]>>;
}

impl<T: Serialize> ToJson for T {
    fn to_json(&self) -> Result<Cow<'_, [u8]>> {
        let failed = |error: serde_json::Error| Error::Serialize(error.into());
        let text = serde_json::to_vec(self).map_err(failed)?;
        if text.first() == Some(&b'"') {
            return Err(TextError::new(&text, Fault::new(TextErrorKind::AString, 0)).into());
        }
        // IMPORTANT: `serde_json` writes such a number as `null`, which removes the field in a merge.
        if memchr::memmem::find(&text, b"null").is_some() && has_non_finite(self) {
            let reason = "a number is NaN or infinite, which JSON does not have; leave it out, or give `null`";
            return Err(failed(serde::ser::Error::custom(reason)));
        }
        Ok(Cow::Owned(text))
    }
}

impl<T: AsRef<[u8]>> ToJson for JsonText<T> {
    fn to_json(&self) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.0.as_ref()))
    }
}
