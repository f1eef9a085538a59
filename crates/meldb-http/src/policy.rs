//! Who may send which requests, and how much of them at one time: what stands before the verbs.

use std::{future::Future, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderValue, request::Parts},
    response::Response,
};

use crate::{
    bodies::{body::RequestBody, budget::Admission},
    error::HttpError,
    identity::{Identity, Notes},
    route::{Admin, Route},
    shutdown::Shutdown,
    verbs::admin::AdminRequest,
};

/// Who may send which requests, and how much of them at one time.
///
/// An [`Adapter`](crate::Adapter) begins a [`Session`] for each request. `meldb-server` has a policy of
/// API keys, limits, metrics and an audit log; [`Trusting`](crate::Trusting) is one for a program
/// that has checked requests itself.
pub trait Policy: Send + Sync + 'static {
    /// One request.
    type Session: Session;

    /// Begins a request, which is known by `request_id`; `route` is where it leads, if anywhere.
    fn begin(
        &self,
        request: &Request,
        request_id: &HeaderValue,
        route: Option<&Arc<Route>>,
    ) -> Self::Session;

    /// Answers an operator's request. The adapter answers those about documents; those about API
    /// keys are the policy's, and so is what changes keys along with documents.
    fn administer(
        &self,
        request: AdminRequest<'_>,
        admin: &Admin,
        body: RequestBody,
    ) -> impl Future<Output = Result<Response, HttpError>> + Send {
        request.answer(admin, body)
    }
}

/// One request, from when its head has been read until its answer is there. It is dropped early when
/// the client goes away.
pub trait Session: Send {
    /// Who has sent the request.
    type Identity: Identity;

    /// Returns what is known of what the request does, to be added to.
    fn notes(&mut self) -> &mut Notes;

    /// Checks that whoever sends what leads nowhere, or needs no identity, has not sent too much of it.
    ///
    /// # Errors
    /// The refusal; by default there is none.
    fn check_visitor(&mut self) -> Result<(), HttpError> {
        Ok(())
    }

    /// Says who has sent a request that needs an identity.
    ///
    /// # Errors
    /// 401 if that is not known, 429 if it is and they are too fast.
    fn identify(
        &mut self,
        head: &Parts,
    ) -> impl Future<Output = Result<Self::Identity, HttpError>> + Send;

    /// Returns whether an operator has sent a request that needs no identity, so that the answer can
    /// say more. By default nobody has.
    fn is_operator(&mut self, head: &Parts) -> impl Future<Output = bool> + Send {
        let _ = head;
        async { false }
    }

    /// Lets a permitted request in, once there is room for it. `admission` begins to count what the
    /// request takes.
    ///
    /// # Errors
    /// The refusal, 429 as a rule; by default there is none.
    fn admit(
        &mut self,
        identity: &Self::Identity,
        head: &Parts,
        admission: &mut Admission,
    ) -> impl Future<Output = Result<(), HttpError>> + Send {
        let _ = (identity, head, admission);
        async { Ok(()) }
    }

    /// Returns the handle that tells that the server shuts down.
    fn shutdown(&self) -> Shutdown {
        Shutdown::default()
    }

    /// Records how the request ended, and returns the answer, whose body it may follow.
    fn finish(self, response: Response) -> Response
    where
        Self: Sized,
    {
        response
    }
}
