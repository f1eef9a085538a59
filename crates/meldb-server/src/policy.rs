//! The policy of the server: keys say who asks, limits how much, and every request leaves its trail.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, request::Parts},
    response::Response,
};
use meldb::Store;
use meldb_http::{
    Adapter, Admin, AdminRequest, Admission, HttpError, Notes, Policy, RequestBody, Route, Session,
    Shutdown,
};

use crate::{
    admin,
    auth::{self, Caller, Refusal},
    keys::Keys,
    limits::{Accounts, RateLimits, Strangers, Visitor},
    peer::Carrier,
    settings::Settings,
    trail::Trail,
    watched,
};

/// The policy of API keys, limits, metrics and an audit log; a cheap handle.
#[derive(Clone)]
pub struct KeyPolicy(Arc<Shared>);

/// What every request needs.
struct Shared {
    keys: Keys,
    settings: Settings,
    rate_limits: Option<RateLimits>,
    accounts: Accounts,
    strangers: Strangers,
}

/// One request.
pub struct KeySession {
    shared: Arc<Shared>,
    /// Of a request that a server has read.
    carrier: Option<Carrier>,
    visitor: Visitor,
    trail: Trail,
}

/// Returns the service over a store, to be given to a [`Server`](crate::Server).
pub fn adapter(store: Store, settings: Settings) -> Adapter<KeyPolicy> {
    let http = settings.http.clone();
    let policy = KeyPolicy::new(&store, settings);
    Adapter::new(store, policy, http)
}

/// Returns a router over a store, to be merged with other routes or put behind layers.
pub fn router(store: Store, settings: Settings) -> Router {
    Router::new().fallback_service(adapter(store, settings))
}

impl KeyPolicy {
    /// Returns the policy for an adapter over `store`, whose keys live there too.
    pub fn new(store: &Store, settings: Settings) -> Self {
        let keys = Keys::new(store);
        let rate_limits = settings.rate_limit.map(RateLimits::new);
        let (budgets, metrics) = (settings.budgets, settings.metrics.clone());
        let accounts = Accounts::new(budgets, metrics.clone());
        let strangers = Strangers::new(budgets.unauthenticated, metrics);
        Self(Arc::new(Shared { keys, settings, rate_limits, accounts, strangers }))
    }
}

impl Policy for KeyPolicy {
    type Session = KeySession;

    fn begin(
        &self,
        request: &Request,
        request_id: &HeaderValue,
        route: Option<&Arc<Route>>,
    ) -> KeySession {
        let shared = Arc::clone(&self.0);
        let carrier = request.extensions().get::<Carrier>().cloned();
        let peer = carrier.as_ref().map(Carrier::peer).unwrap_or_default();
        let visitor = Visitor::of(&shared.strangers, peer.address().map(|address| address.ip()));
        let (id, method) = (request_id.clone(), request.method().clone());
        let trail = Trail::new(&shared.settings, id, method, peer, route.cloned());
        KeySession { shared, carrier, visitor, trail }
    }

    async fn administer(
        &self,
        request: AdminRequest<'_>,
        admin: &Admin,
        body: RequestBody,
    ) -> Result<Response, HttpError> {
        admin::answer(request, &self.0.keys, admin, body).await
    }
}

impl KeySession {
    async fn authenticate(&self, head: &Parts) -> Result<Caller, HttpError> {
        let Shared { keys, settings, .. } = &*self.shared;
        let peer = self.carrier.as_ref().map(Carrier::peer).unwrap_or_default();
        let (query_token, lookup) = (settings.http.query_token, self.visitor.lookup());
        auth::authenticate(keys, peer, head, query_token, lookup).await
    }
}

impl Session for KeySession {
    type Identity = Caller;

    fn notes(&mut self) -> &mut Notes {
        &mut self.trail.notes
    }

    fn check_visitor(&mut self) -> Result<(), HttpError> {
        self.visitor.check(&self.shared.strangers)
    }

    async fn identify(&mut self, head: &Parts) -> Result<Caller, HttpError> {
        let caller = self.authenticate(head).await;
        if caller.is_err() {
            self.check_visitor()?;
        }
        let caller = caller?;
        self.trail.authenticated(&caller);
        if let Caller::Key { key, .. } = &caller {
            self.shared.keys.note_use(key);
        }
        // An operator at the local socket has no rate: he must come in when all others are too fast.
        if let (Some(limits), Some(key)) = (&self.shared.rate_limits, caller.key_id()) {
            limits.check(key).map_err(|error| Refusal::TooFast.with(error))?;
        }
        Ok(caller)
    }

    async fn is_operator(&mut self, head: &Parts) -> bool {
        match self.authenticate(head).await {
            Ok(caller) => {
                self.trail.authenticated(&caller);
                caller.is_operator()
            }
            Err(error) => {
                // A key that is looked for costs as much here as elsewhere.
                if error.reason() != Some(Refusal::NoKey.name()) {
                    self.visitor.count(&self.shared.strangers);
                }
                false
            }
        }
    }

    async fn admit(
        &mut self,
        caller: &Caller,
        head: &Parts,
        admission: &mut Admission,
    ) -> Result<(), HttpError> {
        auth::check_actor(caller, &head.headers)?;
        self.trail.check_audit()?;
        let account = self.shared.accounts.of(caller.key_id());
        let presence = account.begin_request().await?;
        admission.begin(account, presence);
        Ok(())
    }

    fn shutdown(&self) -> Shutdown {
        self.carrier.as_ref().map(|carrier| carrier.shutdown().clone()).unwrap_or_default()
    }

    fn finish(mut self, response: Response) -> Response {
        if !self.trail.is_authenticated() && !self.trail.is_probe() {
            self.trail.quiet = self.visitor.answered(&self.shared.strangers);
        }
        let caller = self.trail.finish(response.status());
        match caller {
            Some(caller) => watched::watch(response, &self.shared.keys, &caller),
            None => response,
        }
    }
}

impl fmt::Debug for KeyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPolicy").finish_non_exhaustive()
    }
}

impl fmt::Debug for KeySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySession").finish_non_exhaustive()
    }
}
