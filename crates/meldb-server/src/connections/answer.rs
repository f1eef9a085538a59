//! An answer on its way: whose turn it is, and whether its client takes it.

use std::{
    cell::Cell,
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::activity::RequestGuard;

/// A body up to this size is handed over to the connection at once and not followed further: an
/// HTTP/2 connection may hold as much for each of its streams.
const UNWATCHED_BYTES_MAX: u64 = 16 << 10;
/// How many bytes are progress. A client that takes less than this in the time that an answer has is
/// one that does not read.
const PROGRESS_BYTES: usize = 1 << 10;

/// What is known of an answer that is being sent.
#[derive(Debug)]
pub(super) struct Answer {
    request: RequestGuard,
    began: Instant,
    /// When the client last took something, in milliseconds since the beginning.
    progress_ms: AtomicU64,
    /// Bytes that it took since then.
    unnoted: AtomicUsize,
    /// Bytes that were handed to the connection and have not left it.
    pending: AtomicUsize,
    /// The next piece has to be made here first.
    making: AtomicBool,
    /// Who waits until nothing is pending.
    sent: AtomicWaker,
}

impl Answer {
    fn new(request: RequestGuard) -> Self {
        Self {
            request,
            began: Instant::now(),
            progress_ms: AtomicU64::new(0),
            unnoted: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            making: AtomicBool::new(false),
            sent: AtomicWaker::new(),
        }
    }

    fn note_progress(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress_ms.store(now, Relaxed);
        self.unnoted.store(0, Relaxed);
    }

    /// Notes that bytes have left the connection.
    fn sent(&self, bytes: usize) {
        let pending = self.pending.fetch_sub(bytes, Relaxed) - bytes;
        if self.unnoted.fetch_add(bytes, Relaxed) + bytes >= PROGRESS_BYTES || pending == 0 {
            self.note_progress();
        }
        if pending == 0 {
            self.sent.wake();
        }
    }

    /// Returns when the client has to have made progress, or `None` while it is not its turn.
    pub(super) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        if self.making.load(Relaxed) && self.pending.load(Relaxed) == 0 {
            return None;
        }
        let progress = Duration::from_millis(self.progress_ms.load(Relaxed));
        Some(self.began + progress + timeout)
    }

    /// Notes that the answer was given up because its client does not take it.
    pub(super) fn give_up(&self) {
        self.request.give_up();
    }
}

thread_local! {
    /// The answer of the HTTP/2 stream that this thread polls, from when it is made until
    /// the stream's task has been polled.
    static MADE: Cell<Option<Arc<Answer>>> = const { Cell::new(None) };
}

/// Returns the answer that was made since this was last asked, on this thread.
pub(super) fn take_made() -> Option<Arc<Answer>> {
    MADE.take()
}

pin_project! {
    /// The body of an answer. The request counts as in flight until the body has been sent or given
    /// up.
    pub(super) struct AnswerBody {
        #[pin]
        body: Body,
        answer: Arc<Answer>,
        // The body is long or of unknown length, and its end waits until it has been sent.
        watched: bool,
    }
}

impl AnswerBody {
    /// Returns the body of an answer to a request; `multiplexed` is whether its connection carries
    /// others as well, each in a task of its own.
    pub(super) fn new(body: Body, request: RequestGuard, multiplexed: bool) -> Self {
        let length = http_body::Body::size_hint(&body).upper();
        let watched = length.is_none_or(|bytes| bytes > UNWATCHED_BYTES_MAX);
        let answer = Arc::new(Answer::new(request));
        if multiplexed {
            MADE.set(Some(Arc::clone(&answer)));
        }
        Self { body, answer, watched: watched && multiplexed }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = self.project();
        let frame = match this.body.poll_frame(context) {
            Poll::Pending => {
                this.answer.making.store(true, Relaxed);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        if this.answer.making.swap(false, Relaxed) {
            this.answer.note_progress();
        }
        match frame {
            Some(Ok(frame)) => {
                let answer = this.watched.then_some(&*this.answer);
                Poll::Ready(Some(Ok(frame.map_data(|bytes| Piece::new(bytes, answer)))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                // While something is pending the task lives that can reset the stream.
                this.answer.sent.register(context.waker());
                match *this.watched && this.answer.pending.load(Relaxed) > 0 {
                    true => Poll::Pending,
                    false => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.watched && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer, which it hears of when they leave the connection.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    answer: Option<Arc<Answer>>,
}

impl Piece {
    fn new(bytes: Bytes, answer: Option<&Arc<Answer>>) -> Self {
        if let Some(answer) = answer {
            answer.pending.fetch_add(bytes.len(), Relaxed);
        }
        Self { bytes, answer: answer.cloned() }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(answer) = &self.answer {
            answer.sent(count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // What was thrown away is no longer pending either.
        if let Some(answer) = &self.answer
            && !self.bytes.is_empty()
        {
            answer.sent(self.bytes.len());
        }
    }
}
