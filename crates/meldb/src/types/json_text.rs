//! JSON that write verbs take: any serde value, or JSON text.

use std::borrow::Cow;

use serde::Serialize;

use super::{Error, Result};

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
    /// [`Error::Serialize`] if the value's `Serialize` fails.
    fn to_json(&self) -> Result<Cow<'_, [u8]>>;
}

impl<T: Serialize> ToJson for T {
    fn to_json(&self) -> Result<Cow<'_, [u8]>> {
        match serde_json::to_vec(self) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(error) => Err(Error::Serialize(error.into())),
        }
    }
}

impl<T: AsRef<[u8]>> ToJson for JsonText<T> {
    fn to_json(&self) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.0.as_ref()))
    }
}
