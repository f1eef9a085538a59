//! What a client may take at one time, and what happens when it asks for more.
//!
//! A limit is of one key or of one peer, and only that key or peer waits or is refused. The state
//! that a limit keeps is bounded itself: what rests is forgotten.

mod account;
mod admission;
mod budgets;
mod bytes;
mod peer_network;
mod seldom;
mod strangers;

pub(crate) use account::Accounts;
pub(crate) use admission::{Admission, StreamBudget};
pub use budgets::Budgets;
pub(crate) use bytes::UNCOUNTED_BYTES_MAX;
pub(crate) use peer_network::PeerNetwork;
pub(crate) use seldom::Seldom;
pub(crate) use strangers::{Strangers, Visitor};
