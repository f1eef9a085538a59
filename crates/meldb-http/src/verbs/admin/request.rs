//! A request of an operator, and what its verbs share.

use std::fmt;

use axum::{
    http::{Method, request::Parts},
    response::Response,
};
use bytes::Bytes;
use meldb::{Actor, Error, Store, with_causes};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    bodies::{
        body::{self, RequestBody},
        budget::Admission,
        json_object::check_object,
        response,
    },
    error::HttpError,
    identity::{Identity, Notes, writer},
    query,
};

/// The longest JSON body of a request about quotas and history.
pub(super) const JSON_BYTES_MAX: usize = 64 << 10;

/// A permitted request of an operator.
pub struct AdminRequest<'a> {
    pub(crate) store: &'a Store,
    pub(crate) parts: &'a Parts,
    pub(crate) identity: &'a dyn Identity,
    pub(crate) notes: &'a mut Notes,
    pub(crate) admission: &'a mut Admission,
}

impl AdminRequest<'_> {
    /// Returns its head.
    pub fn head(&self) -> &Parts {
        self.parts
    }

    /// Returns what is noted of it, to be added to.
    pub fn notes(&mut self) -> &mut Notes {
        self.notes
    }

    /// Returns who is stamped on what it writes.
    ///
    /// # Errors
    /// 400 if they have not said so.
    pub fn writer(&self) -> Result<&Actor, HttpError> {
        writer(self.identity)
    }

    /// Returns the value of a parameter of its query.
    ///
    /// # Errors
    /// 400 for one that is given twice.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, HttpError> {
        let [value] = query::values(self.parts.uri.query(), [name])?;
        Ok(value)
    }

    /// Reads a body of JSON.
    ///
    /// # Errors
    /// 400 for one that is not a `T`, 415 for another media type, and those of reading it.
    pub async fn json<T: DeserializeOwned>(
        &self,
        body: RequestBody,
        bytes_max: usize,
    ) -> Result<T, HttpError> {
        body::form(&Method::POST, &self.parts.headers)?;
        let text = body.read(bytes_max, self.admission).await?;
        check_object(&text).map_err(|error| HttpError::bad_request(error.to_string()))?;
        serde_json::from_slice(&text)
            .map_err(|error| HttpError::bad_request(format!("the body cannot be used: {error}")))
    }

    /// Does what takes its time on a thread of its own.
    ///
    /// # Errors
    /// Those of the work, and 500 if it panics.
    pub async fn in_background<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, HttpError>
    where
        T: Send + 'static,
        E: Send + 'static,
        HttpError: From<E>,
    {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|error| HttpError::internal(format!("the work broke off: {error}")))??)
    }

    /// Returns an answer of JSON.
    ///
    /// # Errors
    /// 500 for a value that is no JSON.
    pub fn answer_with(&self, value: &impl Serialize) -> Result<Response, HttpError> {
        let text = serde_json::to_vec(value);
        let text = text.map_err(|error| HttpError::internal(format!("no JSON: {error}")))?;
        Ok(response::json(Bytes::from(text), &self.parts.method))
    }
}

impl fmt::Debug for AdminRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminRequest").field("head", self.parts).finish_non_exhaustive()
    }
}

/// Returns the answer to an error of the store. An option that it does not take is what the request has said: so it is
/// told as it is.
pub(super) fn told_as_it_is(error: Error) -> HttpError {
    match error {
        Error::InvalidOption { .. } => HttpError::bad_request(with_causes(&error).to_string()),
        error => error.into(),
    }
}
