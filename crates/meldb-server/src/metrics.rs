//! What is counted and timed, as Prometheus reads it.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use meldb::{Observer, Store};
use meldb_http::HttpError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Why a request was refused whose key has used up its rate.
pub(crate) const TOO_FAST: &str = "rate";

/// The buckets of request durations, in seconds: from a read in memory to a stuck disk.
const DURATION_BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// The buckets of how many writes shared a commit: up to as many as can.
const WRITES_BUCKETS: [f64; 11] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The metrics of a router and of the store below it; a cheap handle.
///
/// Take a clone from [`Settings::metrics`](crate::Settings::metrics) before the settings are handed
/// over, and serve it with [`metrics_router`] on a listener of its own. The store's commits and
/// syncs are in it when it is the store's [`Observer`]:
///
/// ```
/// use std::sync::Arc;
/// use meldb_server::{Metrics, Settings, router};
///
/// let metrics = Metrics::default();
/// let store = meldb::Store::builder().observer(Arc::new(metrics.clone())).in_memory()?;
/// let app = router(store.clone(), Settings { metrics: metrics.clone(), ..Settings::default() });
/// assert!(metrics.text(&store).contains("meldb_commit_duration_seconds"));
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    active: Gauge,
    auth_failures: Family<ReasonLabels, Counter>,
    rate_limited: Counter,
    read_only: Gauge,
    audit_failing: Gauge,
    audit_failures: Counter,
    connections: Gauge,
    connections_refused: Counter,
    connections_evicted: Counter,
    answers_stalled: Counter,
    bytes_in_flight: Gauge,
    over_budget: Family<BudgetLabels, Counter>,
    commits: Histogram,
    commit_writes: Histogram,
    syncs: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What was asked for beyond its limit.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Requests of a key.
    Requests,
    /// Streams of a key.
    Streams,
    /// Bytes in flight of a key.
    KeyBytes,
    /// Bytes in flight of everybody.
    AllBytes,
    /// Requests of a peer without a valid key.
    Strangers,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BudgetLabels {
    budget: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations: Family<RequestLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let [active, read_only, audit_failing]: [Gauge; 3] = Default::default();
        let auth_failures = Family::default();
        let [rate_limited, audit_failures]: [Counter; 2] = Default::default();
        let [commits, syncs] = [(); 2].map(|()| Histogram::new(DURATION_BUCKETS));
        let commit_writes = Histogram::new(WRITES_BUCKETS);
        let mut registry = Registry::default();
        registry.register(
            "http_server_request_duration_seconds",
            "How long it took until an answer's headers were ready",
            durations.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "Requests that are being answered",
            active.clone(),
        );
        registry.register(
            "meldb_auth_failures",
            "Requests refused with 401 or 403, by reason",
            auth_failures.clone(),
        );
        registry.register("meldb_rate_limited", "Requests refused with 429", rate_limited.clone());
        registry.register(
            "meldb_store_read_only",
            "1 if the store takes no writes since one failed",
            read_only.clone(),
        );
        let connections = Gauge::default();
        let [connections_refused, connections_evicted, answers_stalled]: [Counter; 3] =
            Default::default();
        registry.register("meldb_connections", "Open connections", connections.clone());
        registry.register(
            "meldb_connections_refused",
            "Connections closed because their peer had too many",
            connections_refused.clone(),
        );
        registry.register(
            "meldb_connections_evicted",
            "Idle connections closed to make room for new ones",
            connections_evicted.clone(),
        );
        registry.register(
            "meldb_answers_stalled",
            "Answers given up because their client did not take them in time",
            answers_stalled.clone(),
        );
        let (bytes_in_flight, over_budget) = (Gauge::default(), Family::default());
        registry.register(
            "meldb_bytes_in_flight",
            "Bytes of request bodies and answers that count towards the budgets",
            bytes_in_flight.clone(),
        );
        registry.register(
            "meldb_over_budget",
            "Requests refused with 429 or 503 for what else was in flight, by budget",
            over_budget.clone(),
        );
        registry.register(
            "meldb_audit_failing",
            "1 while the audit log cannot be written",
            audit_failing.clone(),
        );
        registry.register(
            "meldb_audit_failures",
            "Lines that could not be written to the audit log at once",
            audit_failures.clone(),
        );
        registry.register(
            "meldb_commit_duration_seconds",
            "How long a group of writes took to be committed, with its sync if each is synced",
            commits.clone(),
        );
        registry.register(
            "meldb_commit_writes",
            "How many writes a commit was shared by",
            commit_writes.clone(),
        );
        registry.register(
            "meldb_sync_duration_seconds",
            "How long the syncs took that are no part of a commit",
            syncs.clone(),
        );
        let inner = Inner {
            registry,
            durations,
            active,
            auth_failures,
            rate_limited,
            read_only,
            audit_failing,
            audit_failures,
            connections,
            connections_refused,
            connections_evicted,
            answers_stalled,
            bytes_in_flight,
            over_budget,
            commits,
            commit_writes,
            syncs,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Metrics {
    /// Returns all metrics of a router over `store`, as the text that Prometheus reads.
    pub fn text(&self, store: &Store) -> String {
        self.inner.read_only.set(i64::from(store.failure().is_some()));
        let mut text = String::new();
        if let Err(error) =
            prometheus_client::encoding::text::encode(&mut text, &self.inner.registry)
        {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }

    pub(crate) fn request_began(&self) {
        self.inner.active.inc();
    }

    pub(crate) fn request_ended(&self) {
        self.inner.active.dec();
    }

    pub(crate) fn connection_opened(&self) {
        self.inner.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.inner.connections.dec();
    }

    pub(crate) fn connection_refused(&self) {
        self.inner.connections_refused.inc();
    }

    pub(crate) fn connection_evicted(&self) {
        self.inner.connections_evicted.inc();
    }

    pub(crate) fn answer_stalled(&self) {
        self.inner.answers_stalled.inc();
    }

    /// Counts bytes in flight, or negative ones that no longer are.
    pub(crate) fn bytes_in_flight(&self, more: i64) {
        self.inner.bytes_in_flight.inc_by(more);
    }

    pub(crate) fn over_budget(&self, limit: Limit) {
        let budget = match limit {
            Limit::Requests => "requests",
            Limit::Streams => "streams",
            Limit::KeyBytes => "key_bytes",
            Limit::AllBytes => "all_bytes",
            Limit::Strangers => "strangers",
        };
        self.inner.over_budget.get_or_create(&BudgetLabels { budget }).inc();
    }

    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = method_label(method);
        let labels = RequestLabels { method, route, status: u32::from(status.as_u16()) };
        self.inner.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Notes whether the audit log could be written just now.
    pub(crate) fn audit_failing(&self, failing: bool) {
        self.inner.audit_failing.set(i64::from(failing));
        if failing {
            self.inner.audit_failures.inc();
        }
    }

    /// Counts a refused request, by why it was.
    pub(crate) fn refused(&self, reason: &'static str) {
        if reason == TOO_FAST {
            self.inner.rate_limited.inc();
        } else {
            self.inner.auth_failures.get_or_create(&ReasonLabels { reason }).inc();
        }
    }
}

impl Observer for Metrics {
    fn committed(&self, writes: usize, took: Duration) {
        self.inner.commits.observe(took.as_secs_f64());
        self.inner.commit_writes.observe(writes as f64);
    }

    fn synced(&self, took: Duration) {
        self.inner.syncs.observe(took.as_secs_f64());
    }
}

/// Returns a method by a name of which there are only a few, whatever clients send.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "_OTHER",
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Returns a router that answers `GET /metrics`, for a listener of its own: it asks for no key.
pub fn metrics_router(store: Store, metrics: Metrics) -> Router {
    Router::new().fallback(move |request: Request| {
        let (store, metrics) = (store.clone(), metrics.clone());
        async move { scrape(&store, &metrics, &request) }
    })
}

fn scrape(store: &Store, metrics: &Metrics, request: &Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if request.uri().path() != "/metrics" || !is_read {
        return HttpError::not_found().into_response();
    }
    let text = Bytes::from(metrics.text(store));
    let length = HeaderValue::from(text.len());
    let is_head = *request.method() == Method::HEAD;
    let mut response = Response::new(if is_head { Body::empty() } else { Body::from(text) });
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(open_metrics));
    headers.insert(header::CONTENT_LENGTH, length);
    response
}
