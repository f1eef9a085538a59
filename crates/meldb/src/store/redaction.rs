//! Removing what nobody may keep: documents and fields, with all their history.

use super::document_ref::DocumentRef;
use crate::{
    maintenance::{Forgotten, Redacted},
    merge,
    types::{Actor, Condition, Document, DocumentPath, Error, Result},
};

impl DocumentRef {
    /// Deletes the document if it exists, and removes every version of it from the history, for data that nobody may keep. What
    /// stays is that it was deleted, by whom and when. An idempotent request that is repeated is answered with the stamps
    /// alone.
    ///
    /// The engine's files hold the texts until they are rewritten; see [`Store::compact`](crate::Store::compact). Interrupted, it can be
    /// called again.
    ///
    /// # Errors
    /// The errors of a [`delete`](Self::delete) but [`Error::NotFound`]; [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn forget(&self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<Forgotten> {
        let path = self.whole_path()?;
        let deleted = match DocumentRef::new(&self.inner, Ok(path.clone())).delete().commit(actor) {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => false,
            Err(error) => return Err(error),
        };
        let versions = self.inner.committer.forget_history(&path)?;
        self.inner.committer.redact_receipts(&path, "")?;
        Ok(Forgotten { deleted, versions })
    }

    /// Returns [`forget`](Self::forget) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`forget`](Self::forget).
    pub async fn forget_async(
        &self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Forgotten> {
        let (this, actor) = (self.clone(), actor.try_into().map_err(Into::into)?);
        blocking::unblock(move || this.forget(actor)).await
    }

    /// Removes a field, and its values from every version of the document that is kept and from the answers that are kept for
    /// idempotent requests. The versions say that something was redacted, by whom and when.
    ///
    /// `pointer` is a JSON Pointer (RFC 6901) that leads through objects. The engine's files hold the values until they
    /// are rewritten; see [`Store::compact`](crate::Store::compact).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a pointer that names no field; the errors of a [`patch`](Self::patch) but
    /// [`Error::NotFound`]; [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn redact(
        &self,
        pointer: &str,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Redacted> {
        let actor = actor.try_into().map_err(Into::into)?;
        let path = self.whole_path()?;
        if !pointer.starts_with('/') || matches!(pointer, "/updated" | "/updatedBy") {
            let reason = format!("{pointer:?} is no pointer to a field, such as \"/address/city\"");
            return Err(Error::InvalidOption { option: "pointer", reason });
        }
        let document = loop {
            let this = DocumentRef::new(&self.inner, Ok(path.clone()));
            let Some(found) = this.get()? else { break false };
            if field_at(&found, pointer)?.is_none() {
                break false;
            }
            let patch = serde_json::json!([{ "op": "remove", "path": pointer }]);
            let condition = Condition::Matches(found.revision());
            match this.patch(patch).condition(condition).commit(actor.clone()) {
                Ok(_) => break true,
                // Somebody else has written it: look again.
                Err(Error::RevisionMismatch { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        };
        let versions = self.inner.committer.redact_history(&path, pointer, &actor)?;
        self.inner.committer.redact_receipts(&path, pointer)?;
        Ok(Redacted { document, versions })
    }

    /// Returns [`redact`](Self::redact) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`redact`](Self::redact).
    pub async fn redact_async(
        &self,
        pointer: &str,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Redacted> {
        let (this, pointer) = (self.clone(), pointer.to_owned());
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || this.redact(&pointer, actor)).await
    }

    /// Returns the path, which must be that of a whole document.
    fn whole_path(&self) -> Result<DocumentPath> {
        let path = self.path.clone()?;
        match path.members().is_empty() {
            true => Ok(path),
            false => {
                let reason = format!("{path} is a part of a document; name the document");
                Err(Error::InvalidOption { option: "path", reason })
            }
        }
    }
}

/// Returns the JSON text of a field of a document.
fn field_at<'d>(document: &'d Document, pointer: &str) -> Result<Option<&'d [u8]>> {
    merge::value_at(document.as_bytes(), pointer).map_err(|damage| Error::Damaged {
        what: document.path().to_string(),
        reason: damage.to_string(),
    })
}
