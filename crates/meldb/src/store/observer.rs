//! What a store tells about its commits, for metrics.

use std::time::Duration;

/// Hears of every commit and sync of a store; called on the thread that made it, so be quick.
///
/// ```
/// use std::{sync::{Arc, atomic::{AtomicUsize, Ordering}}, time::Duration};
/// use meldb::{Observer, Store};
///
/// #[derive(Default)]
/// struct Writes(AtomicUsize);
///
/// impl Observer for Writes {
///     fn committed(&self, writes: usize, _took: Duration) {
///         self.0.fetch_add(writes, Ordering::Relaxed);
///     }
/// }
///
/// let writes = Arc::new(Writes::default());
/// let store = Store::builder().observer(Arc::clone(&writes)).in_memory()?;
/// store.tenant("t")?.collection("c")?.put("id", serde_json::json!({})).commit("me")?;
/// assert_eq!(writes.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), meldb::Error>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A group of `writes` has been committed, which took this long; where every write is synced,
    /// the sync is part of it.
    fn committed(&self, writes: usize, took: Duration);

    /// Everything written so far has been synced on its own, in the background or by
    /// [`Store::sync`](crate::Store::sync), which took this long.
    fn synced(&self, took: Duration) {
        let _ = took;
    }
}
