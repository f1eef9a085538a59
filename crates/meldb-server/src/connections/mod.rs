//! Carrying an application to the network: HTTP/1.1 and HTTP/2 with a limit on everything.

mod accept;
mod activity;
mod answer;
mod app;
mod bare_error;
mod connection;
mod descriptors;
mod error;
mod io;
mod listener;
mod server;
mod settings;
mod streams;
mod tls;

pub use app::App;
pub use descriptors::{descriptors_reserved, raise_descriptor_limit};
pub use error::ServerError;
pub use listener::Listener;
pub use server::{Server, Stopped};
pub use settings::{ServerSettings, TlsFiles};
