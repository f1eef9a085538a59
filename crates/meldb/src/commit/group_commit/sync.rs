//! Locks and channels of the queue; tests compile its source with `schedules::sync` instead.

pub(super) use ::oneshot;
pub(super) use parking_lot::{Condvar, Mutex};
pub(super) use std::thread;
