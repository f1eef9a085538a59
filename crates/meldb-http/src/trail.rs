//! What is known of a request while it is answered, and what is told of it at the end.

use axum::http::Method;
use meldb::{Actor, Effect, Revision};

use crate::{
    auth::Refusal,
    endpoint::{Endpoint, Target},
    keys::{KeyId, KeyInfo},
};

/// The traces of one request.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(crate) method: Method,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) key: Option<(KeyId, Actor)>,
    pub(crate) tenant: Option<String>,
    pub(crate) target: Option<Target>,
    pub(crate) refusal: Option<Refusal>,
    /// What a write came to.
    pub(crate) written: Option<(Effect, Revision)>,
}

impl Trail {
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            endpoint: None,
            key: None,
            tenant: None,
            target: None,
            refusal: None,
            written: None,
        }
    }

    pub(crate) fn authenticated(&mut self, key: &KeyInfo) {
        self.key = Some((key.id.clone(), key.name.clone()));
        self.tenant = Some(key.tenant.to_string());
    }
}
