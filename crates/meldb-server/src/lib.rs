//! The HTTP server of MelDB: what stands before the adapter, and what carries it to the network.
//!
//! - [`Keys`] makes, lists, revokes and checks API keys. They live in the store itself.
//! - [`adapter`] returns [`meldb_http::Adapter`] behind keys and scopes, limits, metrics and an audit
//!   log; [`router`] makes an [`axum::Router`] of it.
//! - [`Server`] carries it to the network: time-outs, size limits, TLS, graceful shutdown.
//!
//! ```
//! use meldb::{Store, TenantId};
//! use meldb_server::{Keys, NewKey, Server, ServerSettings, Settings, adapter};
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
//! let app = adapter(store, Settings::default());
//! Server::new(ServerSettings::default()).run(listener, app, shutdown).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod audit;
mod auth;
mod connections;
mod keys;
mod limits;
mod metrics;
mod peer;
mod policy;
mod scope;
mod settings;
mod trail;
mod watched;

pub use admin::{ClockReset, ErasedTenant, TenantReset, erase_tenant, reset_clock};
pub use audit::Audit;
pub use connections::{
    App, Listener, Server, ServerError, ServerSettings, Stopped, TlsFiles, descriptors_reserved,
    raise_descriptor_limit,
};
pub use keys::{KeyError, KeyInfo, KeyKind, KeySecret, Keys, NewKey, Rejection};
pub use limits::{Budgets, RateLimit};
pub use meldb_http::{KeyId, KeyIdError};
pub use metrics::{Metrics, metrics_router};
pub use peer::{Operator, Peer};
pub use policy::{KeyPolicy, KeySession, adapter, router};
pub use scope::{Scope, ScopeError};
pub use settings::Settings;
