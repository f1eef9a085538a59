//! The HTTP adapter of MelDB: from a request to a verb of a [`Store`](meldb::Store) and back.
//!
//! [`Adapter`] answers requests: every route of the contract, conditions, batches, feeds, reports. It
//! has no keys, no sockets and no TLS. A [`Policy`] says who may send which requests and how much of
//! them at one time; `meldb-server` has one with API keys and limits, and a server to run it with.
//!
//! The way of a request is short. The path is parsed once, into a [`Route`] that states what it
//! [needs](Need); the policy's [`Session`] says who asks, an [`Identity`]; that checks the need and
//! nothing else; and a verb of the store is called with what the route leads to.
//!
//! [`Trusting`] is a policy for a service that has checked requests itself:
//!
//! ```
//! use axum::{body::Body, http::Request};
//! use meldb::{Actor, Store};
//! use meldb_http::{Settings, Trusting, router};
//! use tower::ServiceExt;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let trusting = Trusting::new(Actor::parse("billing")?);
//! let app = router(Store::in_memory()?, trusting, Settings::default());
//! let write = Request::post("/api/v1/provisioning/tenants/acme/users/ada")
//!     .header("host", "localhost")
//!     .body(Body::from(r#"{"role":"owner"}"#))?;
//! assert_eq!(app.oneshot(write).await?.status(), 201);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No document logic lives here: what a request means is said by the store's verbs.

mod adapter;
mod bodies;
mod cursor;
mod disclosure;
mod error;
mod headers;
mod identity;
mod openapi;
mod percent;
mod policy;
mod query;
mod read_only;
mod route;
mod service;
mod settings;
mod shutdown;
mod times;
mod trusting;
mod verbs;

pub use adapter::{Adapter, router};
pub use bodies::body::RequestBody;
pub use bodies::budget::{Admission, Budget, Room, UNCOUNTED_BYTES_MAX, Waiting};
pub use bodies::json_object::{check_line, check_object};
pub use bodies::response::EVENT_STREAM;
pub use error::{Code, HttpError};
pub use headers::cors::{Origin, OriginError};
pub use headers::idempotency::ACTOR;
pub use identity::{Identity, Notes};
pub use openapi::openapi_json;
pub use percent::percent_decode;
pub use policy::{Policy, Session};
pub use query::{QUERY_TOKEN_OFF, bearer_tokens};
pub use route::{Access, Admin, KeyId, KeyIdError, Need, Prefix, Resource, Route, ScopeNeed};
pub use settings::{BODY_TIMEOUT, HEADER_BYTES_MAX, Settings};
pub use shutdown::Shutdown;
pub use times::{TimeError, expiry_ms, parse_expiry, parse_time};
pub use trusting::{Trusted, Trusting, TrustingSession};
pub use verbs::admin::{
    AdminRequest, ImportError, ImportErrorKind, ImportSummary, ShownIndex, ShownIndexes,
    TenantInfo, import_lines,
};
pub use verbs::batch::{BATCH_BODY_BYTES_MAX, BatchFormat, BatchText, BatchTextError};
pub use verbs::changes::change_line;
pub use verbs::document::changes;
pub use verbs::effect::effect_name;
pub use verbs::history::{
    HistorySetting, Moment, UndoneBy, UndoneField, UndoneWrite, blame_text, history_line,
    revision_before,
};
