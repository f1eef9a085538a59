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
use meldb::{Collection, DocumentPath, DocumentRef, Store, TenantId, WriteOptions, verb::Kind};
use tower::Service;

use crate::{
    bodies::{
        body::{self, Form, RequestBody},
        budget::Admission,
        compression, response,
    },
    disclosure,
    error::{Code, HttpError},
    headers::{
        condition::Conditions,
        cors,
        idempotency::InFlight,
        preference::Return,
        request_id::{self, X_REQUEST_ID},
        strict,
    },
    identity::{self, Identity, Notes},
    policy::{Policy, Session},
    query::Query,
    route::{Endpoint, Need, NoRoute, Part, Route, TakeBack, Target, check_parameters},
    service,
    settings::Settings,
    shutdown::Shutdown,
    verbs::{
        admin::AdminRequest,
        batch::{self, BATCH_BODY_BYTES_MAX},
        bulk, changes, collections,
        document::{self, Wanted},
        find, history, list, report,
    },
};

/// The service over a store: every route of the contract, behind a [`Policy`].
///
/// [`router`] makes an [`axum::Router`] of it.
pub struct Adapter<P>(Arc<App<P>>);

/// What every request needs.
struct App<P> {
    store: Store,
    policy: P,
    settings: Settings,
    in_flight: InFlight,
}

/// Returns a router over a store, to be merged with other routes or put behind layers.
pub fn router<P: Policy>(store: Store, policy: P, settings: Settings) -> Router {
    // One service for every path: the order of the checks is the same whatever the path, which a
    // router that first matches and then decodes could not promise.
    Router::new().fallback_service(Adapter::new(store, policy, settings))
}

impl<P: Policy> Adapter<P> {
    /// Returns the service over a store.
    pub fn new(store: Store, policy: P, settings: Settings) -> Self {
        let in_flight = InFlight::default();
        Self(Arc::new(App { store, policy, settings, in_flight }))
    }
}

impl<P> Clone for Adapter<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Policy> Service<Request> for Adapter<P> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let app = Arc::clone(&self.0);
        Box::pin(async move { Ok(answer(&app, request).await) })
    }
}

impl<P> fmt::Debug for Adapter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").finish_non_exhaustive()
    }
}

async fn answer<P: Policy>(app: &App<P>, request: Request) -> Response {
    let request_id = request_id::of(request.headers());
    let method = request.method().clone();
    let is_compressed = compression::is_preferred(request.headers());
    let route = Route::parse(&method, request.uri()).map(Arc::new);
    let origin = cors::allowed(&app.settings.cors_origins, request.headers());
    let mut session = app.policy.begin(&request, &request_id, route.as_ref().ok());
    let mut admission = Admission::default();
    let route = route.as_deref();
    let outcome = respond(app, request, route, origin.is_some(), &mut session, &mut admission);
    let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
    let response = match outcome.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(response) => response,
        Err(error) => {
            if let Some(cause) = &error.log {
                let request_id = request_id.to_str().unwrap_or_default();
                let status = error.code.status().as_u16();
                tracing::error!(request_id, status, %cause, "a request failed");
            }
            session.notes().refusal = error.reason();
            strip_body_of_head(error.into_response(), &method)
        }
    };
    let mut response = session.finish(response);
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

/// Answers a request, or says why not. `is_allowed_origin` is whether it is of a page that may use the
/// interface.
async fn respond<P: Policy>(
    app: &App<P>,
    request: Request,
    route: Result<&Route, &NoRoute>,
    is_allowed_origin: bool,
    session: &mut P::Session,
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
    let is_preflight = is_allowed_origin && cors::is_preflight(&parts);
    let is_open = |route: &&Route| is_preflight || route.need == Need::Nothing;
    // Where an identity is needed, it decides.
    if route.as_ref().map_or(true, |route| is_open(route) && !route.is_probe()) {
        session.check_visitor()?;
    }
    let route = route?;
    if is_preflight {
        return Ok(cors::preflight(route.endpoint));
    }
    if is_open(&route) {
        return serve(app, route, &parts, session).await;
    }
    let identity = session.identify(&parts).await?;
    let Settings { request_body_bytes_max, body_timeout, query_token, .. } = app.settings;
    let bytes_max = request_body_bytes_max.filter(|_| !identity.is_local());
    let body = RequestBody::new(body, &parts.headers, bytes_max, body_timeout);
    route.check_tenant()?;
    identity.check(&route.need)?;
    check_parameters(route.endpoint, &parts.method, parts.uri.query(), query_token)?;
    session.admit(&identity, &parts, admission).await?;
    let target = route.target()?;
    if parts.method == Method::OPTIONS {
        return Ok(options(route.endpoint));
    }
    match target {
        Target::Of(tenant, part) => {
            let shutdown = session.shutdown();
            let (store, in_flight, need) = (&app.store, &app.in_flight, &route.need);
            let (parts, identity) = (&parts, &identity);
            let asks = Asks { store, in_flight, parts, tenant, identity, need, shutdown };
            asks.answer(part, body, session.notes(), admission).await
        }
        Target::Admin(admin) => {
            let (store, parts, identity) = (&app.store, &parts, &identity);
            let notes = session.notes();
            let request = AdminRequest { store, parts, identity, notes, admission };
            app.policy.administer(request, admin, body).await
        }
        Target::WhoAmI => Ok(service::who_am_i(&identity, &parts.method)),
        _ => Err(HttpError::not_found()),
    }
}

/// Answers a service route.
async fn serve<P: Policy>(
    app: &App<P>,
    route: &Route,
    parts: &Parts,
    session: &mut P::Session,
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
            let Err(cause) = service::ready(&app.store, session.shutdown().has_begun()) else {
                return Ok(service::is_ready(method));
            };
            match session.is_operator(parts).await {
                true => Err(cause),
                false => Err(service::not_ready()),
            }
        }
        Target::OpenApi => Ok(service::openapi(app.settings.query_token, method)),
        Target::Docs(_) if !app.settings.docs => Err(HttpError::not_found()),
        Target::Docs(file) => service::docs(file.as_deref(), method),
        Target::WhoAmI | Target::Of(..) | Target::Admin(_) => Err(HttpError::not_found()),
    }
}

/// A permitted request about something of a tenant.
struct Asks<'a> {
    store: &'a Store,
    in_flight: &'a InFlight,
    parts: &'a Parts,
    tenant: &'a TenantId,
    identity: &'a dyn Identity,
    need: &'a Need,
    shutdown: Shutdown,
}

impl Asks<'_> {
    async fn answer(
        &self,
        part: &Part,
        body: RequestBody,
        notes: &mut Notes,
        admission: &mut Admission,
    ) -> Result<Response, HttpError> {
        let parts = self.parts;
        let tenant = self.store.tenant(self.tenant)?;
        match part {
            Part::Changes(collection) => {
                let shutdown = self.shutdown.clone();
                changes::answer(&tenant, collection.clone(), parts, shutdown, admission).await
            }
            Part::Report(name) => {
                report::answer(self.tenant, &tenant.collection(name)?, parts, admission).await
            }
            Part::Collection(name) if parts.method == Method::DELETE => {
                bulk::delete(self.bulk(tenant.collection(name)?), notes, admission).await
            }
            Part::BulkMerge(name) => {
                let asked = self.bulk(tenant.collection(name)?);
                asked.check_merge()?;
                let text = body.read(bulk::MERGE_BODY_BYTES_MAX, admission).await?;
                bulk::merge(asked, &text, notes, admission).await
            }
            Part::Collection(name) => {
                let query = Query::parse(parts.uri.query())?;
                let collection = tenant.collection(name)?;
                list::list(self.tenant, collection, parts, &query, admission).await
            }
            Part::Count(name) => {
                find::count(self.tenant, &tenant.collection(name)?, parts, admission).await
            }
            Part::Query(name) => {
                let text = body.read(find::QUERY_BODY_BYTES_MAX, admission).await?;
                find::post(self.tenant, &tenant.collection(name)?, parts, &text, admission).await
            }
            Part::Collections => {
                collections::list(tenant, parts, self.identity, self.need, admission).await
            }
            Part::Writes(collection) => {
                let shutdown = self.shutdown.clone();
                history::writes(&tenant, collection.as_ref(), parts, shutdown, admission).await
            }
            Part::History(path) => {
                history::read(&self.store.document(path.clone()), parts, admission).await
            }
            Part::TakeBack(path, how) => self.take_back(path, *how, body, notes, admission).await,
            Part::UndoBy => {
                history::check_body(&body.read(history::BODY_BYTES_MAX, admission).await?)?;
                history::undo_by(&tenant, parts, self.identity, self.need, notes).await
            }
            Part::Batch => self.batch(body, notes, admission).await,
            Part::Document(path) => {
                let query = Query::parse(parts.uri.query())?;
                let document = self.store.document(path.clone());
                if matches!(parts.method, Method::GET | Method::HEAD) {
                    let (shared, headers) = (self.store.capabilities().is_shared, &parts.headers);
                    return document::read(&document, shared, &parts.method, headers, admission)
                        .await;
                }
                self.write(&document, body, &query, notes, admission).await
            }
        }
    }

    /// Returns what a write to many documents of a collection is made with.
    fn bulk(&self, collection: Collection) -> bulk::Asked<'_> {
        let Self { parts, tenant, identity, need, .. } = *self;
        bulk::Asked { tenant, collection, parts, identity, need }
    }

    async fn take_back(
        &self,
        path: &DocumentPath,
        how: TakeBack,
        body: RequestBody,
        notes: &mut Notes,
        admission: &Admission,
    ) -> Result<Response, HttpError> {
        let Self { store, parts, identity, need, .. } = *self;
        let claim = self.in_flight.claim(&parts.headers, identity.owner())?;
        let text = body.read(history::BODY_BYTES_MAX, admission).await?;
        history::check_body(&text)?;
        let once = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
        let asked = history::Asked { parts, identity, need, once };
        history::take_back(store, path, how, asked, notes).await
    }

    async fn batch(
        &self,
        body: RequestBody,
        notes: &mut Notes,
        admission: &mut Admission,
    ) -> Result<Response, HttpError> {
        let Self { store, parts, tenant, identity, need, .. } = *self;
        let query = &Query::parse(parts.uri.query())?;
        notes.dry_run = query.dry_run;
        let headers = &parts.headers;
        let claim = self.in_flight.claim(headers, identity.owner())?;
        let text = body.read(BATCH_BODY_BYTES_MAX, admission).await?;
        let once = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
        let asked = batch::Asked { store, tenant, headers, query, identity, need, once };
        batch::serve(text, asked, notes).await
    }

    async fn write(
        &self,
        document: &DocumentRef,
        body: RequestBody,
        query: &Query,
        notes: &mut Notes,
        admission: &Admission,
    ) -> Result<Response, HttpError> {
        let Self { store, parts, identity, need, .. } = *self;
        notes.dry_run = query.dry_run;
        let verb = match parts.method {
            Method::DELETE => Kind::Delete,
            _ => match (body::form(&parts.method, &parts.headers)?, &parts.method) {
                (Form::Object, &Method::POST) => Kind::Put,
                (Form::Object | Form::MergePatch, _) => Kind::Merge,
                (Form::JsonPatch, _) if (query.nulls, query.depth) != Default::default() => {
                    let message =
                        "`nulls` and `depth` are for merges, and the body is a JSON Patch";
                    return Err(HttpError::bad_request(message));
                }
                (Form::JsonPatch, _) => Kind::Patch,
            },
        };
        let conditions = Conditions::parse(&parts.headers)?;
        let claim = self.in_flight.claim(&parts.headers, identity.owner())?;
        let text = body.read(store.limits().text_bytes_max(), admission).await?;
        let patch = (verb == Kind::Patch).then_some(&*text);
        let asks = || disclosure::asks(query.skip_unchanged, patch, store.limits());
        let disclosure = identity::disclosure(identity, need, asks)?;
        let idempotency_key = claim.as_ref().map(|claim| claim.key(parts, &text)).transpose()?;
        let answer = Return::of(&parts.headers).within(disclosure);
        let diff = answer == Return::Diff;
        let options = WriteOptions { diff, idempotency_key, ..query.options() };
        let wanted = Wanted { answer, disclosure, options };
        let actor = identity::writer(identity)?;
        let outcome = document::write(document, verb, text, &conditions, actor, &wanted).await?;
        notes.repeated = outcome.repeated;
        notes.written = (!query.dry_run).then_some((outcome.effect, outcome.revision));
        Ok(document::written(outcome, &parts.method, &wanted))
    }
}

fn options(endpoint: Endpoint) -> Response {
    let mut response = response::empty(StatusCode::NO_CONTENT);
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
