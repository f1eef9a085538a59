//! Who has sent a request, and what is noted of it.

use meldb::{Actor, Effect, Revision};

use crate::{disclosure::Disclosure, error::HttpError, route::Need};

/// Who has sent a request.
pub trait Identity: Send + Sync {
    /// Checks that they have what a request needs; of other things it knows nothing.
    ///
    /// # Errors
    /// The refusal, 403, with a [reason](HttpError::because) for logs. Of another tenant it must be one
    /// answer, whatever exists there.
    fn check(&self, need: &Need) -> Result<(), HttpError>;

    /// Returns who is stamped on what they write, if that is known.
    fn actor(&self) -> Option<&Actor>;

    /// Returns who they are and what they may do, for themselves: an object with the `name` that is stamped, and what
    /// an implementation knows besides, such as a tenant and scopes. Never a secret.
    fn describe(&self) -> serde_json::Value {
        serde_json::json!({"name": self.actor()})
    }

    /// Returns whose their idempotency keys are: two owners may choose the same.
    fn owner(&self) -> &str;

    /// Returns whether they may send bodies as long as the store takes, whatever the settings say.
    fn is_local(&self) -> bool {
        false
    }
}

/// What a request does, for logs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Notes {
    /// Why the request was refused, in one word, if it was for who sent it.
    pub refusal: Option<&'static str>,
    /// Nothing was to be written.
    pub dry_run: bool,
    /// The write was made before, and its answer is repeated.
    pub repeated: bool,
    /// What a write did to its document.
    pub written: Option<(Effect, Revision)>,
    /// The revision of what has no effect on a document of its own, such as an erasure.
    pub revision: Option<Revision>,
    /// The tenant that it is about, where the address does not say that.
    pub tenant: Option<String>,
    /// What it is about, where the address does not say that, such as a new key.
    pub subject: Option<String>,
    /// What each operation of a batch did, with the path of its document behind the tenant.
    pub operations: Vec<(String, Effect, Revision)>,
}

/// Returns who is stamped on what somebody writes.
///
/// # Errors
/// 400 if they have not said so.
pub(crate) fn writer(identity: &dyn Identity) -> Result<&Actor, HttpError> {
    let missing = "name who writes in the header MelDB-Actor";
    identity.actor().ok_or_else(|| HttpError::bad_request(missing))
}

/// Returns what the answer to a write may show whoever needed `need` for it: everything to those who
/// may read it as well.
///
/// # Errors
/// 403 for those who may not, if the write `asks` what is stored.
pub(crate) fn disclosure(
    identity: &dyn Identity,
    need: &Need,
    asks: impl FnOnce() -> bool,
) -> Result<Disclosure, HttpError> {
    match identity.check(&need.reading()) {
        Ok(()) => Ok(Disclosure::Document),
        Err(refusal) if asks() => Err(refusal),
        Err(_) => Ok(Disclosure::Stamps),
    }
}
