//! The way of a request through the adapter.

use std::{
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use meldb::{DocumentRef, Store, Tenant, TenantId};
use tower::Service;

use crate::{
    admin,
    auth::{self, Caller, Refusal},
    batch::{self, BATCH_BODY_BYTES_MAX},
    body::{self, Form, Unread},
    changes, compression,
    condition::Conditions,
    cors, disclosure,
    document::{self, Verb, Wanted},
    error::{Code, HttpError},
    idempotency::InFlight,
    keys::Keys,
    limits::{Accounts, Admission, Strangers, Visitor},
    list,
    preference::Return,
    query::{self, Query},
    rate::RateLimits,
    report,
    request_id::{self, X_REQUEST_ID},
    route::{Endpoint, Need, NoRoute, Part, Route, Target},
    server::{Carrier, Peer},
    service,
    settings::Settings,
    strict,
    trail::Trail,
    watched,
};

/// The service over a store: every route of the contract, with nothing in front of it.
///
/// It is given to a [`Server`](crate::Server) as it is; [`router`] makes an [`axum::Router`] of it.
#[derive(Clone)]
pub struct Adapter(Arc<App>);

/// What every request needs.
struct App {
    store: Store,
    keys: Keys,
    settings: Settings,
    rate_limits: Option<RateLimits>,
    accounts: Accounts,
    strangers: Strangers,
    in_flight: InFlight,
}

/// Returns a router over a store, to be merged with other routes or put behind layers.
pub fn router(store: Store, settings: Settings) -> Router {
    // One service for every path: the order of the checks is the same whatever the path, which a
    // router that first matches and then decodes could not promise.
    Router::new().fallback_service(Adapter::new(store, settings))
}

impl Adapter {
    /// Returns the service over a store.
    pub fn new(store: Store, settings: Settings) -> Self {
        let keys = Keys::new(&store);
        let rate_limits = settings.rate_limit.map(RateLimits::new);
        let (budgets, metrics) = (settings.budgets, settings.metrics.clone());
        let accounts = Accounts::new(budgets, metrics.clone());
        let strangers = Strangers::new(budgets.unauthenticated, metrics);
        let in_flight = InFlight::default();
        Self(Arc::new(App { store, keys, settings, rate_limits, accounts, strangers, in_flight }))
    }
}

impl Service<Request> for Adapter {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let app = Arc::clone(&self.0);
        Box::pin(async move { Ok(answer(app, request).await) })
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").finish_non_exhaustive()
    }
}

async fn answer(app: Arc<App>, request: Request) -> Response {
    let request_id = request_id::of(request.headers());
    let peer = Peer::of(&request);
    let method = request.method().clone();
    let is_compressed = compression::is_preferred(request.headers());
    let route = Route::parse(&method, request.uri()).map(Arc::new);
    let origin = cors::allowed(&app.settings.cors_origins, request.headers());
    let mut trail = Trail::new(&app.settings, request_id.clone(), method.clone(), peer);
    trail.route = route.as_ref().ok().cloned();
    let visitor = Visitor::of(&app.strangers, peer.address().map(|address| address.ip()));
    let mut admission = Admission::default();
    let route = route.as_deref();
    let from = From { peer, visitor: &visitor, is_allowed_origin: origin.is_some() };
    let outcome = respond(&app, request, route, from, &mut trail, &mut admission);
    let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
    let mut response = match outcome.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(response) => response,
        Err(error) => {
            if let Some(cause) = &error.log {
                let request_id = request_id.to_str().unwrap_or_default();
                let status = error.code.status().as_u16();
                tracing::error!(request_id, status, %cause, "a request failed");
            }
            strip_body_of_head(error.into_response(), &method)
        }
    };
    visitor.answered(&app.strangers, &mut trail);
    trail.finish(response.status());
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_REQUEST_ID, request_id);
    if !headers.contains_key(header::CACHE_CONTROL) {
        let private = HeaderValue::from_static("private, no-cache");
        headers.insert(header::CACHE_CONTROL, private);
    }
    if !app.settings.cors_origins.is_empty() {
        cors::mark(origin, headers);
    }
    let response = admission.finish(response);
    match app.settings.compression {
        true => compression::compress(response, &method, is_compressed).await,
        false => response,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HttpError {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HttpError::internal(format!("a handler panicked: {}", message.unwrap_or("no message")))
}

/// Takes the body off an answer to HEAD, and leaves its length.
fn strip_body_of_head(mut response: Response, method: &Method) -> Response {
    use http_body::Body as _;
    if *method == Method::HEAD {
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::empty();
    }
    response
}

/// Where a request comes from, as far as that is known before its key is.
#[derive(Clone, Copy)]
struct From<'a> {
    peer: Peer,
    visitor: &'a Visitor,
    /// A page of an origin that may use the interface.
    is_allowed_origin: bool,
}

async fn respond(
    app: &App,
    request: Request,
    route: Result<&Route, &NoRoute>,
    from: From<'_>,
    trail: &mut Trail,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    check_header_bytes(&parts, app.settings.header_bytes_max)?;
    strict::check(&parts)?;
    let route = route.map_err(|none| HttpError::from(*none));
    let route = route.and_then(|route| {
        route.endpoint.check_method(&parts.method)?;
        Ok(route)
    });
    let is_preflight = from.is_allowed_origin && cors::is_preflight(&parts);
    let needs_key = |route: &&Route| !is_preflight && route.need != Need::Nothing;
    let counts = |route: &&Route| !needs_key(route) && route.endpoint.counts_strangers();
    // Where a key is needed, the key decides.
    if route.as_ref().map_or(true, counts) {
        from.visitor.check(&app.strangers)?;
    }
    let route = route?;
    if is_preflight {
        return Ok(cors::preflight(route.endpoint));
    }
    if !needs_key(&route) {
        return serve(app, route, &parts, from, trail).await;
    }
    let Settings { request_body_bytes_max, body_timeout, query_token, .. } = app.settings;
    let caller = admit(app, &parts, route, from, trail).await;
    let is_local = caller.as_ref().is_ok_and(Caller::is_local);
    let bytes_max = request_body_bytes_max.filter(|_| !is_local);
    let caller = match caller {
        // A stranger is not listened to. Others see why they are refused, whatever they still send.
        Err(error) if error.code == Code::PermissionDenied => {
            drop(Unread::new(body, &parts.headers, bytes_max, body_timeout));
            return Err(error);
        }
        caller => caller?,
    };
    let body = Unread::new(body, &parts.headers, bytes_max, body_timeout);
    auth::check_actor(&caller, &parts.headers)?;
    query::check(route.endpoint, &parts.method, parts.uri.query(), query_token)?;
    trail.check_audit()?;
    admission.begin(app.accounts.of(caller.key_id())).await?;
    let target = route.target()?;
    if parts.method == Method::OPTIONS {
        return Ok(options(route.endpoint));
    }
    let response = match target {
        Target::Of(tenant, part) => {
            let asks = Asks { app, parts: &parts, tenant, caller: &caller, need: &route.need };
            asks.answer(part, body, trail, admission).await?
        }
        Target::Admin(target) => {
            let (store, keys, caller) = (&app.store, &app.keys, &caller);
            let asks = admin::Asks { store, keys, parts: &parts, caller, trail, admission };
            asks.answer(target, body).await?
        }
        _ => return Err(HttpError::not_found()),
    };
    Ok(watched::watch(response, &app.keys, &caller))
}

/// Answers a service route.
async fn serve(
    app: &App,
    route: &Route,
    parts: &Parts,
    from: From<'_>,
    trail: &mut Trail,
) -> Result<Response, HttpError> {
    let method = &parts.method;
    let target = route.target()?;
    if *method == Method::OPTIONS {
        return Ok(options(route.endpoint));
    }
    match target {
        Target::Root => Ok(service::root(app.settings.docs, method)),
        Target::Health => Ok(service::health(method)),
        Target::Ready => {
            let carrier = parts.extensions.get::<Carrier>();
            let draining = carrier.is_some_and(|carrier| carrier.draining().is_set());
            let Err(cause) = service::ready(&app.store, draining) else {
                return Ok(service::is_ready(method));
            };
            match is_operator(app, parts, from, trail).await {
                true => Err(cause),
                false => Err(service::not_ready()),
            }
        }
        Target::OpenApi => Ok(service::openapi(app.settings.query_token, method)),
        Target::Docs(_) if !app.settings.docs => Err(HttpError::not_found()),
        Target::Docs(file) => service::docs(file.as_deref(), method),
        Target::Of(..) | Target::Admin(_) => Err(HttpError::not_found()),
    }
}

/// Returns whether an operator has sent a request that needs no key.
async fn is_operator(app: &App, parts: &Parts, from: From<'_>, trail: &mut Trail) -> bool {
    let (query_token, lookup) = (app.settings.query_token, from.visitor.lookup());
    match auth::authenticate(&app.keys, from.peer, parts, query_token, lookup).await {
        Ok(caller) => {
            trail.authenticated(&caller);
            caller.is_operator()
        }
        Err((Some(Refusal::NoKey), _)) => false,
        Err(_) => {
            // A key that is looked for costs as much here as elsewhere.
            from.visitor.count(&app.strangers);
            false
        }
    }
}

/// Checks who asks and whether they may, in this order.
async fn admit(
    app: &App,
    parts: &Parts,
    route: &Route,
    from: From<'_>,
    trail: &mut Trail,
) -> Result<Caller, HttpError> {
    let mut refuse = |(refusal, error)| {
        trail.refusal = refusal;
        error
    };
    let (query_token, lookup) = (app.settings.query_token, from.visitor.lookup());
    let caller = auth::authenticate(&app.keys, from.peer, parts, query_token, lookup).await;
    if caller.is_err() {
        from.visitor.check(&app.strangers)?;
    }
    let caller = caller.map_err(&mut refuse)?;
    // An operator at the local socket has no rate: he must come in when all others are too fast.
    let in_time = match (&app.rate_limits, caller.key_id()) {
        (Some(limits), Some(key)) => limits.check(key),
        _ => Ok(()),
    };
    let permitted = in_time
        .map_err(|error| (Some(Refusal::TooFast), error))
        .and_then(|()| route.check_tenant().map_err(|error| (None, error)))
        .and_then(|()| caller.check(&route.need));
    let permitted = permitted.map_err(refuse);
    trail.authenticated(&caller);
    if let Caller::Key { key, .. } = &caller {
        app.keys.note_use(key);
    }
    permitted.map(|()| caller)
}

/// A permitted request about something of a tenant.
struct Asks<'a> {
    app: &'a App,
    parts: &'a Parts,
    tenant: &'a TenantId,
    caller: &'a Caller,
    need: &'a Need,
}

impl Asks<'_> {
    async fn answer(
        &self,
        part: &Part,
        body: Unread,
        trail: &mut Trail,
        admission: &mut Admission,
    ) -> Result<Response, HttpError> {
        let Self { app, parts, .. } = *self;
        let tenant = app.store.tenant(self.tenant)?;
        match part {
            Part::Changes(collection) => {
                changes::answer(&tenant, collection.clone(), parts, admission).await
            }
            Part::Report(name) => {
                report::answer(self.tenant, &tenant.collection(name)?, parts, admission).await
            }
            Part::Collection(name) => {
                let query = Query::parse(parts.uri.query())?;
                let collection = tenant.collection(name)?;
                let path = parts.uri.path();
                list::list(self.tenant, collection, &parts.method, path, &query, admission).await
            }
            Part::Batch => self.batch(&tenant, body, trail, admission).await,
            Part::Document(document) => {
                let query = Query::parse(parts.uri.query())?;
                let document = document.of(&tenant)?;
                if matches!(parts.method, Method::GET | Method::HEAD) {
                    let (shared, headers) = (app.store.is_shared(), &parts.headers);
                    return document::read(&document, shared, &parts.method, headers, admission)
                        .await;
                }
                self.write(&document, body, &query, trail, admission).await
            }
        }
    }

    async fn batch(
        &self,
        tenant: &Tenant,
        body: Unread,
        trail: &mut Trail,
        admission: &mut Admission,
    ) -> Result<Response, HttpError> {
        let Self { app, parts, caller, need, .. } = *self;
        let Need::Scope(need) = need else { return Err(HttpError::not_found()) };
        let query = &Query::parse(parts.uri.query())?;
        trail.dry_run = query.dry_run;
        let headers = &parts.headers;
        let claim = app.in_flight.claim(headers, caller)?;
        let text = body.read(BATCH_BODY_BYTES_MAX, admission).await?;
        let once = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
        let limits = app.store.limits();
        let asked = batch::Asked { headers, query, caller, need, once, limits };
        batch::serve(tenant, text, asked, trail).await
    }

    async fn write(
        &self,
        document: &DocumentRef,
        body: Unread,
        query: &Query,
        trail: &mut Trail,
        admission: &Admission,
    ) -> Result<Response, HttpError> {
        let Self { app, parts, caller, need, .. } = *self;
        trail.dry_run = query.dry_run;
        let Query { nulls, depth, skip_unchanged, .. } = *query;
        let verb = match parts.method {
            Method::DELETE => Verb::Delete,
            _ => match (body::form(&parts.method, &parts.headers)?, &parts.method) {
                (Form::Object, &Method::POST) => Verb::Put { skip_unchanged },
                (Form::Object | Form::MergePatch, _) => {
                    Verb::Merge { nulls, depth, skip_unchanged }
                }
                (Form::JsonPatch, _) if (nulls, depth) != Default::default() => {
                    let message =
                        "`nulls` and `depth` are for merges, and the body is a JSON Patch";
                    return Err(HttpError::bad_request(message));
                }
                (Form::JsonPatch, _) => Verb::Patch { skip_unchanged },
            },
        };
        let conditions = Conditions::parse(&parts.headers)?;
        let claim = app.in_flight.claim(&parts.headers, caller)?;
        let text = body.read(app.store.limits().text_bytes_max(), admission).await?;
        let patch = matches!(verb, Verb::Patch { .. }).then_some(&*text);
        if let Need::Scope(need) = need {
            let asks = || disclosure::asks(skip_unchanged, patch, app.store.limits());
            caller.check_question(need, asks).map_err(|(refusal, error)| {
                trail.refusal = refusal;
                error
            })?;
        }
        let once = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
        let Query { dry_run, expiry, .. } = *query;
        let disclosure = caller.disclosure(need);
        let answer = Return::of(&parts.headers).within(disclosure);
        let wanted = Wanted { answer, dry_run, expiry, disclosure, once: once.as_ref() };
        let actor = caller.writer()?;
        let outcome = document::write(document, verb, text, &conditions, actor, wanted).await?;
        trail.repeated = outcome.repeated;
        trail.written = (!wanted.dry_run).then_some((outcome.effect, outcome.revision));
        Ok(document::written(outcome, &parts.method, wanted))
    }
}

fn options(endpoint: Endpoint) -> Response {
    let mut response = document::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(endpoint.allow()));
    if endpoint.allow().contains("PATCH") {
        let types = "application/merge-patch+json, application/json-patch+json";
        let name = header::HeaderName::from_static("accept-patch");
        headers.insert(name, HeaderValue::from_static(types));
    }
    response
}

/// Checks the size of a request's target and headers as HTTP/1.1 writes them.
fn check_header_bytes(parts: &Parts, bytes_max: usize) -> Result<(), HttpError> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let lines = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if target + lines.sum::<usize>() <= bytes_max {
        return Ok(());
    }
    let message = format!("the target and headers are over the limit of {bytes_max} bytes");
    Err(HttpError::new(Code::HeadersTooLarge, message))
}
