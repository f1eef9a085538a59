//! Whether the server that carries a request is shutting down.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells requests that are being answered that their server is shutting down; a cheap handle.
///
/// `/ready` answers 503 from then on, and streams of events end, so that their clients come back to
/// another server.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Shutdown {
    /// Says that the server is shutting down.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it begins.
    pub async fn wait(&self) {
        // The sender is here, so the wait cannot fail.
        self.0.subscribe().wait_for(|begun| *begun).await.ok();
    }
}
