//! What of the adapter can be set.

use std::time::Duration;

use crate::headers::cors::Origin;

/// The default of [`Settings::body_timeout`].
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The default of [`Settings::header_bytes_max`]: 16 KiB.
pub const HEADER_BYTES_MAX: usize = 16 << 10;

/// The settings of an [`Adapter`](crate::Adapter); the defaults are the contract's.
///
/// ```
/// let settings = meldb_http::Settings { query_token: true, ..Default::default() };
/// assert_eq!(settings.header_bytes_max, 16 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest request body, in bytes; `None` for the longest text that the store takes, by
    /// default 1 MiB + 64 KiB.
    pub request_body_bytes_max: Option<usize>,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// The longest request target and headers together, in bytes.
    pub header_bytes_max: usize,
    /// Whether `?bearer_token=KEY` is taken beside the `Authorization` header. Off by default:
    /// addresses end up in logs.
    pub query_token: bool,
    /// The origins whose pages may use the interface from a browser; none by default.
    pub cors_origins: Vec<Origin>,
    /// Whether answers of 1 KiB and more are compressed when the client takes it; on by default.
    pub compression: bool,
    /// Whether `/docs` shows the description of the interface to a person; on by default.
    pub docs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_body_bytes_max: None,
            body_timeout: BODY_TIMEOUT,
            header_bytes_max: HEADER_BYTES_MAX,
            query_token: false,
            cors_origins: Vec::new(),
            compression: true,
            docs: true,
        }
    }
}
