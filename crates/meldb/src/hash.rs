//! The hash map of the write path: a fast hash, seeded for each process.
//!
//! Its keys are names, of which a group holds at most a thousand and a cache some thousands: what
//! somebody could do who chose names that collide is bounded by that.

/// A hash map for short keys.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
