//! What the queue waits and wakes with; its source is compiled with `schedules::sync` in place of it too.

pub(super) use ::oneshot;
pub(super) use parking_lot::{Condvar, Mutex};
pub(super) use std::thread;
