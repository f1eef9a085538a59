//! What a client may take at one time, and what happens when it asks for more.
//!
//! A limit is of one key or of one peer, and only that key or peer waits or is refused. The state
//! that a limit keeps is bounded itself: what rests is forgotten.

mod account;
mod budgets;
mod bytes;
mod peer_network;
mod rate;
mod seldom;
mod strangers;

pub(crate) use account::Accounts;
pub use budgets::Budgets;
pub(crate) use peer_network::PeerNetwork;
pub use rate::RateLimit;
pub(crate) use rate::RateLimits;
pub(crate) use seldom::Seldom;
pub(crate) use strangers::{Strangers, Visitor};
