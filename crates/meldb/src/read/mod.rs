//! Reading what is committed.

pub(crate) mod expiry_time;
