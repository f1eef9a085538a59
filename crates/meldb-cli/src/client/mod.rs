//! A small client of the HTTP API: one request a call, typed conditions, failures with their code.

mod answer;
mod request;
mod transport;

pub use answer::{Answer, Chunks};
pub use request::{Answered, Method, Request};
pub(crate) use request::{percent_encoded, pointer_of};
pub use transport::{Client, ClientOptions};
