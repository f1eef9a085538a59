//! The HTTP adapter of MelDB: a thin layer over a [`Store`](meldb::Store).
//!
//! - [`Adapter`] answers requests: every route of the contract, keys and scopes, conditions, limits.
//!   [`router`] makes an [`axum::Router`] of it.
//! - [`Keys`] makes, lists, revokes and checks API keys. They live in the store itself.
//! - [`Server`] carries it to the network: time-outs, size limits, TLS, graceful shutdown.
//!
//! ```
//! use meldb::{Store, TenantId};
//! use meldb_http::{Adapter, Keys, NewKey, Server, ServerSettings, Settings};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let store = Store::in_memory()?;
//! let tenant = TenantId::parse("tenant-alpha")?;
//! let key = NewKey::new(tenant, "signup".parse()?, vec!["provisioning:*".parse()?]);
//! let (_info, secret) = Keys::new(&store).create(key)?;
//! println!("Authorization: Bearer {}", secret.expose());
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = async { /* until SIGTERM */ };
//! let app = Adapter::new(store, Settings::default());
//! Server::new(ServerSettings::default()).run(listener, app, shutdown).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No document logic lives here: what a request means is said by the store's verbs.

mod admin;
mod app;
mod audit;
mod auth;
mod batch;
mod body;
mod changes;
mod compression;
mod condition;
mod cors;
mod cursor;
mod cut;
mod disclosure;
mod document;
mod error;
mod idempotency;
mod json_object;
mod keys;
mod limits;
mod list;
mod metrics;
mod openapi;
mod preference;
mod query;
mod rate;
mod read_only;
mod report;
mod request_id;
mod route;
mod scope;
mod server;
mod service;
mod settings;
mod strict;
mod times;
mod trail;
mod watched;
mod weights;

pub use admin::{
    ClockReset, ErasedTenant, ImportError, ImportErrorKind, ImportSummary, TenantInfo, TenantReset,
    erase_tenant, import_lines, reset_clock,
};
pub use app::{Adapter, router};
pub use audit::Audit;
pub use batch::{BATCH_BODY_BYTES_MAX, BatchFormat, BatchText, BatchTextError};
pub use changes::change_line;
pub use cors::{Origin, OriginError};
pub use document::changes;
pub use json_object::{check_line, check_object};
pub use keys::{KeyError, KeyId, KeyInfo, KeyKind, KeySecret, Keys, NewKey, Rejection};
pub use limits::Budgets;
pub use metrics::{Metrics, metrics_router};
pub use openapi::openapi_json;
pub use rate::RateLimit;
pub use scope::{Access, Prefix, Scope, ScopeError};
pub use server::{
    App, Listener, Operator, Peer, Server, ServerError, ServerSettings, Stopped, TlsFiles,
    descriptors_reserved, raise_descriptor_limit,
};
pub use settings::{BODY_TIMEOUT, HEADER_BYTES_MAX, Settings};
pub use times::{TimeError, expiry_ms, parse_expiry, parse_time};
