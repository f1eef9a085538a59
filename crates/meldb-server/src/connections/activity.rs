//! What a connection is doing, and until when it may go on doing it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::settings::ServerSettings;

/// How long a connection without a request is left open once the server is shutting down.
const DRAIN_IDLE: Duration = Duration::from_millis(200);
/// How often a busy connection of a server that is shutting down is looked at.
const DRAIN_CHECK: Duration = Duration::from_millis(50);

/// What one connection is doing. Times are milliseconds since it began, plus one; zero is never.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Requests whose answer has not been handed to the connection in full.
    requests: AtomicUsize,
    /// When the last answer was complete.
    answered: AtomicU64,
    /// When the first byte came of a request that has not been read yet.
    head_began: AtomicU64,
    /// The client does not read what is being sent.
    pub(super) write_stalled: AtomicBool,
    is_http2: AtomicBool,
    /// An answer was given up because the client did not take it.
    gave_up: AtomicBool,
    /// The connection is to make room for another one.
    closing: AtomicBool,
    closed: Notify,
}

/// What to do with a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    LookAgain(Instant),
    Close,
}

/// A connection on which nothing is asked for. Those that come first in the order make room first:
/// whoever has connected and asked for nothing yet, and whoever has been idle for the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idle {
    has_asked: bool,
    pub(super) since: Instant,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            write_stalled: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            gave_up: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Notes that bytes came in.
    pub(super) fn bytes_came(&self) {
        if self.requests.load(Relaxed) == 0 && self.head_began.load(Relaxed) == 0 {
            self.head_began.store(self.now(), Relaxed);
        }
    }

    /// Notes that a request has been read; the guard lives as long as its answer.
    pub(super) fn request_came(self: &Arc<Self>, is_http2: bool) -> RequestGuard {
        self.requests.fetch_add(1, Relaxed);
        self.head_began.store(0, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// Returns since when nothing is asked for on the connection; `None` if something is, or if it is
    /// to be closed already.
    pub(super) fn idle(&self) -> Option<Idle> {
        let head_began = self.head_began.load(Relaxed) > 0;
        let answered = self.answered.load(Relaxed);
        let is_busy = self.requests.load(Relaxed) > 0
            || self.write_stalled.load(Relaxed)
            || answered > 0 && head_began && !self.is_http2.load(Relaxed);
        if is_busy || self.closing.load(Relaxed) {
            return None;
        }
        let since = self.began + Duration::from_millis(answered.saturating_sub(1));
        Some(Idle { has_asked: answered > 0, since })
    }

    /// Has the connection closed as soon as no request is in flight on it.
    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
        self.closed.notify_one();
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn wait_closed(&self) {
        self.closed.notified().await;
    }

    /// Returns whether the connection has used up its time, or when to look again.
    pub(super) fn verdict(&self, settings: &ServerSettings, stopping: bool) -> Verdict {
        let look = if stopping { DRAIN_CHECK } else { settings.header_timeout };
        let again = Instant::now() + look;
        if self.requests.load(Relaxed) > 0 || self.write_stalled.load(Relaxed) {
            return Verdict::LookAgain(again);
        }
        let answered = self.answered.load(Relaxed);
        let head_began = self.head_began.load(Relaxed);
        let first = answered == 0;
        let (since, allowed) = match head_began {
            _ if stopping => (answered.max(head_began), DRAIN_IDLE),
            // Such a client gets no time to be idle.
            _ if self.gave_up.load(Relaxed) => (answered, Duration::ZERO),
            // The first request counts from the start of the connection.
            _ if first => (0, settings.header_timeout),
            0 => (answered, settings.idle_timeout),
            // HTTP/2 sends more than requests; only its idle time counts.
            _ if self.is_http2.load(Relaxed) => (answered, settings.idle_timeout),
            began => (began, settings.header_timeout),
        };
        let end = self.began + Duration::from_millis(since.saturating_sub(1)) + allowed;
        if end <= Instant::now() { Verdict::Close } else { Verdict::LookAgain(end.min(again)) }
    }
}

/// Keeps a request counted as in flight.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl RequestGuard {
    /// Notes that the client does not take the answer.
    pub(super) fn give_up(&self) {
        self.0.gave_up.store(true, Relaxed);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.answered.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}
