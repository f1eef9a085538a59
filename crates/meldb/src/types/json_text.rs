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
        let text = json_value(self).map_err(|error| Error::Serialize(error.into()))?;
        if text.starts_with('"') {
            let fault = Fault::new(TextErrorKind::AString, 0);
            return Err(TextError::new(text.as_bytes(), fault).into());
        }
        Ok(Cow::Owned(text.into_bytes()))
    }
}

/// Returns any value as JSON text.
pub(crate) fn json_value<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    // IMPORTANT: `serde_json` writes such a number as `null`, which removes the field in a merge.
    if memchr::memmem::find(text.as_bytes(), b"null").is_some() && has_non_finite(value) {
        let reason =
            "a number is NaN or infinite, which JSON does not have; leave it out, or give `null`";
        return Err(serde::ser::Error::custom(reason));
    }
    Ok(text)
}

impl<T: AsRef<[u8]>> ToJson for JsonText<T> {
    fn to_json(&self) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.0.as_ref()))
    }
}
