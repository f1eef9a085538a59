//! What of the routes can be set.

use crate::{
    audit::Audit,
    limits::{Budgets, RateLimit},
    metrics::Metrics,
};

/// The settings of what a [`router`](crate::router) serves; the defaults are the contract's.
///
/// ```
/// let settings = meldb_server::Settings::default();
/// assert_eq!(settings.http.header_bytes_max, 16 * 1024);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The settings of the adapter: what a request and its answer may look like.
    pub http: meldb_http::Settings,
    /// How fast each key may be used; `None`, the default, for no limit.
    pub rate_limit: Option<RateLimit>,
    /// What each key and each peer may take at one time.
    pub budgets: Budgets,
    /// Where the audit log goes; by default to `tracing`.
    pub audit: Audit,
    /// Where requests are counted; take a clone of it to serve it.
    pub metrics: Metrics,
}

/// For when only the adapter's settings are to be changed.
impl From<meldb_http::Settings> for Settings {
    fn from(http: meldb_http::Settings) -> Self {
        Self { http, ..Self::default() }
    }
}
