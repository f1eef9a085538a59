//! A document as it was at one revision.

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Serialize, Serializer, de::DeserializeOwned};

use super::{
    epoch_ms::EpochMs,
    error::{Error, Result},
    limits::{DEPTH_CEILING, Limits},
    names::DocId,
    path::{DocumentKey, DocumentPath},
    revision::Revision,
};
use crate::{
    json::serialize::JsonValue,
    merge::{Bounds, Content, without_stamps},
};

/// A document, or a sub-document, as it was at one revision.
///
/// Holds the stored text; nothing is parsed until a typed form is asked for. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub(crate) path: DocumentPath,
    pub(crate) revision: Revision,
    pub(crate) updated_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) text: Bytes,
}

/// The object that is stored, in the order of its fields and stamps included; its path and revision are not part of it.
///
/// Numbers are `u64`, `i64` or `f64`, whichever holds them: [`as_text`](Document::as_text) has their digits.
impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        JsonValue(&self.text).serialize(serializer)
    }
}

impl Document {
    /// Returns what the document's path names: the document, or a sub-document in it; `None` if it has no
    /// such sub-document.
    pub(crate) fn part(mut self, limits: &Limits) -> Result<Option<Self>> {
        let Some(sub) = self.path.sub_document(&limits.bounds())? else { return Ok(Some(self)) };
        let part = sub.read(&self.text).map_err(|damage| Error::Damaged {
            what: self.path.to_string(),
            reason: damage.to_string(),
        })?;
        let Some(part) = part else { return Ok(None) };
        self.text = self.text.slice_ref(part);
        Ok(Some(self))
    }

    /// Returns where the document lives.
    pub fn path(&self) -> &DocumentPath {
        &self.path
    }

    /// Returns the document's id; `None` for a tenant's own document.
    pub fn id(&self) -> Option<&DocId> {
        match &self.path.key {
            DocumentKey::Tenant => None,
            DocumentKey::Member { id, .. } => Some(id),
        }
    }

    /// Returns the revision of the write that made the document what it is.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns when that write was made, in epoch milliseconds.
    pub fn updated_ms(&self) -> u64 {
        self.updated_ms
    }

    /// Returns when that write was made.
    pub fn updated_time(&self) -> SystemTime {
        EpochMs::from(self.updated_ms).into()
    }

    /// Returns the stored text: one JSON object (RFC 8259) in UTF-8, `updated` and `updatedBy`
    /// first, with a newline before each top-level field and no other white space.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Returns the stored text, sharing its memory.
    pub fn into_bytes(self) -> Bytes {
        self.text
    }

    /// Returns the stored text as a string; see [`as_bytes`](Self::as_bytes).
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not UTF-8, which no write stores.
    pub fn as_text(&self) -> Result<&str> {
        std::str::from_utf8(&self.text).map_err(|source| Error::Damaged {
            what: self.path.to_string(),
            reason: source.to_string(),
        })
    }

    /// Returns when the document expires, in epoch milliseconds, if it does; see
    /// [`Expiry`](crate::Expiry).
    pub fn expires_ms(&self) -> Option<u64> {
        self.expires_ms
    }

    /// Returns when the document expires, if it does; see [`expires_ms`](Self::expires_ms).
    pub fn expires_time(&self) -> Option<SystemTime> {
        self.expires_ms.map(|expires_ms| EpochMs::from(expires_ms).into())
    }

    /// Returns the document as a value of type `T`, for example a struct or
    /// [`serde_json::Value`], however deep it is nested: the stack is grown where that is needed.
    ///
    /// The stamps `updated` and `updatedBy` are among its fields. A type that has no place for them, such as an enum, a
    /// map with numbers for keys, or a struct with `deny_unknown_fields`, is read by
    /// [`to_without_stamps`](Self::to_without_stamps).
    ///
    /// # Errors
    /// [`Error::Deserialize`] if it does not have the shape of `T`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        self.parse(&self.text)
    }

    /// Returns the document without its stamps as a value of type `T`: whatever serde has written is read as it
    /// was. The stamps are [`updated_ms`](Self::updated_ms) and, in the text, `updatedBy`.
    ///
    /// ```
    /// use meldb::Store;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// enum Shape {
    ///     Circle { radius: f64 },
    /// }
    ///
    /// let store = Store::in_memory()?;
    /// let shapes = store.tenant("tenant-alpha")?.collection("shapes")?;
    /// let written = shapes.put("s1", Shape::Circle { radius: 2.0 }).commit("me")?.document;
    /// assert_eq!(written.to_without_stamps::<Shape>()?, Shape::Circle { radius: 2.0 });
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Deserialize`] if it does not have the shape of `T`.
    pub fn to_without_stamps<T: DeserializeOwned>(&self) -> Result<T> {
        self.parse(&without_stamps(&self.text))
    }

    fn parse<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T> {
        parse(text)
            .map_err(|source| Error::Deserialize { path: self.path.clone(), source: source.into() })
    }
}

/// Reads a stored text.
fn parse<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // A stored text has no mistakes of syntax: what is told as one is the limit of 127 levels. Without
    // that limit the text must be known to keep the store's own, or it could take all of the stack.
    let bounds = Bounds { depth_max: DEPTH_CEILING, name_bytes_max: usize::MAX };
    if !error.is_syntax() || Content::compile(text, &bounds).is_err() {
        return Err(error);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(serde_stacker::Deserializer::new(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}
