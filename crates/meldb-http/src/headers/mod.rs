//! What headers ask for, each read in one place.

pub(crate) mod condition;
pub(crate) mod cors;
pub(crate) mod idempotency;
pub(crate) mod preference;
pub(crate) mod request_id;
pub(crate) mod strict;
pub(crate) mod weights;
