//! API keys: made, listed, revoked and checked. They live in the store's own tenant.

mod authentication;
mod cache;
mod error;
mod key_store;
mod kind;
mod last_use;
mod record;
mod secret;

pub(crate) use self::authentication::Lookup;
pub use self::{
    authentication::Standing,
    error::{KeyError, Rejection},
    key_store::Keys,
    kind::KeyKind,
    record::{KeyInfo, NewKey},
    secret::KeySecret,
};
