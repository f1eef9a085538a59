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
use meldb::{DocumentRef, Store, TenantId};
use tower::Service;

use crate::{
    auth::{self, Refusal},
    backup,
    batch::{self, BATCH_BODY_BYTES_MAX},
    body::{self, Form},
    changes,
    compression::Encodings,
    condition::Conditions,
    document::{self, Verb, Wanted},
    endpoint::{Endpoint, Target},
    error::{Code, HttpError},
    idempotency::InFlight,
    keys::{KeyInfo, Keys},
    limits::{Accounts, Admission, Strangers, Visitor},
    list,
    path::ApiPath,
    preference::Return,
    query::Query,
    rate::RateLimits,
    report,
    request_id::{self, X_REQUEST_ID},
    server::{Carrier, Peer},
    service,
    settings::Settings,
    strict,
    trail::Trail,
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
    body_bytes_max: usize,
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
        let text_bytes_max = store.limits().text_bytes_max();
        let body_bytes_max = settings.request_body_bytes_max.unwrap_or(text_bytes_max);
        let rate_limits = settings.rate_limit.map(RateLimits::new);
        let (budgets, metrics) = (settings.budgets, settings.metrics.clone());
        let accounts = Accounts::new(budgets, metrics.clone());
        let strangers = Strangers::new(budgets.unauthenticated, metrics);
        let in_flight = InFlight::default();
        Self(Arc::new(App {
            store,
            keys,
            settings,
            body_bytes_max,
            rate_limits,
            accounts,
            strangers,
            in_flight,
        }))
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
    let encodings = app.settings.compression.then(|| Encodings::of(request.headers())).flatten();
    let mut trail = Trail::new(&app.settings, request_id.clone(), method.clone(), peer);
    let visitor = Visitor::of(&app.strangers, peer.address().map(|address| address.ip()));
    let mut admission = Admission::default();
    let outcome = respond(&app, request, &visitor, &mut trail, &mut admission);
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
    let response = admission.finish(response);
    match encodings {
        Some(encodings) => encodings.compress(response).await,
        None => response,
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

async fn respond(
    app: &App,
    request: Request,
    visitor: &Visitor,
    trail: &mut Trail,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    check_header_bytes(&parts, app.settings.header_bytes_max)?;
    strict::check(&parts)?;
    let path = parts.uri.path();
    if let Some(endpoint) = Endpoint::of_service(path) {
        trail.endpoint = Some(endpoint);
        if endpoint.counts_strangers() {
            visitor.check(&app.strangers)?;
        }
        return serve(app, endpoint, &parts);
    }
    let Some(path) = ApiPath::parse(path) else {
        return Err(HttpError::not_found());
    };
    if let Some(Ok(tenant)) = path.tenant() {
        trail.asks_for(tenant);
    }
    // What is asked for is known to the logs also when it is refused.
    let target = Target::resolve(&path);
    trail.target = target.as_ref().ok().cloned();
    trail.endpoint = trail.target.as_ref().map(Target::endpoint);
    let key = admit(app, &parts, &path, visitor, trail).await?;
    trail.check_audit()?;
    admission.begin(app.accounts.of(&key.id)).await?;
    let target = target?;
    let endpoint = target.endpoint();
    endpoint.check_method(&parts.method)?;
    if parts.method == Method::OPTIONS {
        return Ok(options(endpoint));
    }
    let tenant = &key.tenant;
    match &target {
        Target::Changes => {
            return changes::answer(&app.store.tenant(tenant)?, &parts, admission).await;
        }
        Target::Report(name) => {
            let collection = app.store.tenant(tenant)?.collection(name)?;
            return report::answer(tenant, &collection, &parts, admission).await;
        }
        Target::Backup => return backup::answer(&app.store, &parts.method, admission).await,
        _ => {}
    }
    let query = Query::parse(parts.uri.query())?;
    trail.dry_run = query.dry_run;
    if matches!(target, Target::Batch) {
        let settings = &app.settings;
        let bytes_max = settings.request_body_bytes_max.unwrap_or(BATCH_BODY_BYTES_MAX);
        let claim = app.in_flight.claim(&parts.headers, &key)?;
        let text = body::read(body, bytes_max, settings.body_timeout, admission).await?;
        let once = claim.as_ref().map(|claim| claim.key(&parts, &text)).transpose()?;
        let tenant = app.store.tenant(tenant)?;
        return batch::serve(&tenant, &parts.headers, text, &query, &key, once, trail).await;
    }
    let Some(document) = document_of(app, tenant, &target)? else {
        let Target::Collection(name) = target else { return Err(HttpError::not_found()) };
        let collection = app.store.tenant(tenant)?.collection(name)?;
        let path = parts.uri.path();
        return list::list(tenant, collection, &parts.method, path, &query, admission).await;
    };
    if matches!(parts.method, Method::GET | Method::HEAD) {
        let shared = app.store.is_shared();
        return document::read(&document, shared, &parts.method, &parts.headers, admission).await;
    }
    write(app, &parts, body, &query, &document, &key, trail, admission).await
}

/// Answers a service route.
fn serve(app: &App, endpoint: Endpoint, parts: &Parts) -> Result<Response, HttpError> {
    endpoint.check_method(&parts.method)?;
    if parts.method == Method::OPTIONS {
        return Ok(options(endpoint));
    }
    match endpoint {
        Endpoint::Root => Ok(service::root(&parts.method)),
        Endpoint::Health => Ok(service::health(&parts.method)),
        Endpoint::Ready => {
            let carrier = parts.extensions.get::<Carrier>();
            let draining = carrier.is_some_and(|carrier| carrier.draining().is_set());
            let is_operator = carrier.is_some_and(|carrier| carrier.peer().operator().is_some());
            service::ready(&app.store, draining, is_operator, &parts.method)
        }
        Endpoint::OpenApi => Ok(service::openapi(&parts.method)),
        Endpoint::Docs if !app.settings.docs => Err(HttpError::not_found()),
        Endpoint::Docs => service::docs(parts.uri.path(), &parts.method),
        Endpoint::Tenant
        | Endpoint::Batch
        | Endpoint::Collection
        | Endpoint::Document
        | Endpoint::CurrentVersion
        | Endpoint::Changes
        | Endpoint::Report
        | Endpoint::Backup => Err(HttpError::not_found()),
    }
}

/// Checks who asks and whether they may, in this order.
async fn admit(
    app: &App,
    parts: &Parts,
    path: &ApiPath<'_>,
    visitor: &Visitor,
    trail: &mut Trail,
) -> Result<Arc<KeyInfo>, HttpError> {
    let (headers, query) = (&parts.headers, parts.uri.query());
    let mut refuse = |(refusal, error)| {
        trail.refusal = refusal;
        error
    };
    let (query_token, lookup) = (app.settings.query_token, visitor.lookup());
    let key = auth::authenticate(&app.keys, headers, query, query_token, lookup).await;
    if key.is_err() {
        visitor.check(&app.strangers)?;
    }
    let key = key.map_err(&mut refuse)?;
    let in_time = app.rate_limits.as_ref().map_or(Ok(()), |limits| limits.check(&key.id));
    let permitted = in_time
        .map_err(|error| (Some(Refusal::TooFast), error))
        .and_then(|()| auth::authorise(&key, path, query, auth::access(&parts.method)));
    let permitted = permitted.map_err(refuse);
    trail.authenticated(&key);
    app.keys.note_use(&key);
    permitted.map(|()| key)
}

/// Returns the document that a target is, or `None` for a collection.
fn document_of(
    app: &App,
    tenant: &TenantId,
    target: &Target,
) -> Result<Option<DocumentRef>, HttpError> {
    let tenant = app.store.tenant(tenant)?;
    Ok(Some(match target {
        Target::Tenant => tenant.document(),
        Target::Document(collection, id) => tenant.collection(collection)?.document(id),
        Target::CurrentVersion(collection, id) => {
            tenant.collection(collection)?.document(id).at(["versions", "current"])
        }
        Target::Collection(_)
        | Target::Batch
        | Target::Changes
        | Target::Report(_)
        | Target::Backup => {
            return Ok(None);
        }
    }))
}

#[expect(clippy::too_many_arguments, reason = "TEMPORARY")]
async fn write(
    app: &App,
    parts: &Parts,
    body: Body,
    query: &Query,
    document: &DocumentRef,
    key: &KeyInfo,
    trail: &mut Trail,
    admission: &Admission,
) -> Result<Response, HttpError> {
    let verb = match parts.method {
        Method::DELETE => Verb::Delete,
        _ => match (body::form(&parts.method, &parts.headers)?, &parts.method) {
            (Form::Object, &Method::POST) => Verb::Put,
            (Form::Object | Form::MergePatch, _) => {
                let Query { nulls, depth, skip_unchanged, .. } = *query;
                Verb::Merge { nulls, depth, skip_unchanged }
            }
            (Form::JsonPatch, _) => Verb::Patch,
        },
    };
    let conditions = Conditions::parse(&parts.headers)?;
    let claim = app.in_flight.claim(&parts.headers, key)?;
    let text = body::read(body, app.body_bytes_max, app.settings.body_timeout, admission).await?;
    let once = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
    let answer = Return::of(&parts.headers);
    let Query { dry_run, expiry, .. } = *query;
    let wanted = Wanted { answer, dry_run, expiry, once: once.as_ref() };
    let outcome = document::write(document, verb, text, &conditions, &key.name, wanted).await?;
    trail.repeated = outcome.repeated;
    trail.written = (!wanted.dry_run).then_some((outcome.effect, outcome.revision));
    Ok(document::written(outcome, &parts.method, wanted))
}

fn options(endpoint: Endpoint) -> Response {
    let mut response = document::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(endpoint.allow()));
    if endpoint == Endpoint::Document {
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
