//! What one request holds of a budget, from its admission until its answer is sent.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::HttpError;

/// Bodies and answers up to this size do not count towards a [`Budget`]: there are at most as many of
/// them as requests, which are counted by themselves.
pub const UNCOUNTED_BYTES_MAX: usize = 16 << 10;

/// A future that a [`Budget`] is waited for with.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the requests of one client may take of the server's memory at one time.
///
/// Rooms and permits are given back when they are dropped.
pub trait Budget: Send + Sync {
    /// Waits for room for bytes of a body or of an answer.
    ///
    /// # Errors
    /// 429 or 503 when there is none in time.
    fn reserve(&self, bytes: usize) -> Waiting<'_, Result<Box<dyn Room>, HttpError>>;

    /// Returns room for bytes if there is some at once.
    fn try_reserve(&self, bytes: usize) -> Option<Box<dyn Room>>;

    /// Counts bytes that are there and cannot be refused: the answer to a write that was made. It
    /// takes what is left of the budget; until it is sent, nothing else fits.
    fn take(&self, bytes: usize) -> Box<dyn Room>;

    /// Waits for room for a piece of a stream that has begun, for as long as it takes: what fills the
    /// budget is being sent, or is given up in time.
    fn wait(&self, bytes: usize) -> Waiting<'_, Box<dyn Room>>;

    /// Waits for the turn to make a piece of a stream: however many streams wait for a change, they
    /// take turns with everybody else's requests.
    fn turn(&self) -> Waiting<'_, Option<OwnedSemaphorePermit>>;

    /// Counts a stream: an answer whose end is not known.
    ///
    /// # Errors
    /// 429 when there are as many as there may be.
    fn begin_stream(&self) -> Result<OwnedSemaphorePermit, HttpError>;
}

/// Bytes of a [`Budget`], which count until this is dropped.
pub trait Room: Send + Sync {
    /// Gives back all but `bytes`.
    fn shrink_to(&mut self, bytes: usize);
}

/// What a request holds of a [`Budget`]. Of none, by default, everything fits.
#[derive(Default)]
pub struct Admission {
    budget: Option<Arc<dyn Budget>>,
    /// The right to be in flight, as a request or as a stream.
    presence: Option<OwnedSemaphorePermit>,
    /// What was reserved for the answer.
    answer: Option<Box<dyn Room>>,
}

impl Admission {
    /// Counts what the request takes towards a budget from now on. `presence` is held until the answer
    /// has been sent, or has become a stream.
    pub fn begin(&mut self, budget: Arc<dyn Budget>, presence: OwnedSemaphorePermit) {
        self.presence = Some(presence);
        self.budget = Some(budget);
    }

    /// Reserves room for a request's body.
    ///
    /// # Errors
    /// 429 or 503.
    pub(crate) async fn reserve_body(
        &self,
        bytes: usize,
    ) -> Result<Option<Box<dyn Room>>, HttpError> {
        match &self.budget {
            Some(budget) if bytes > UNCOUNTED_BYTES_MAX => Ok(Some(budget.reserve(bytes).await?)),
            _ => Ok(None),
        }
    }

    /// Reserves room for an answer that is about to be made, in place of what was reserved before.
    /// What it does not need is given back when it is known.
    ///
    /// # Errors
    /// 429 or 503.
    pub(crate) async fn reserve_answer(&mut self, bytes: usize) -> Result<(), HttpError> {
        self.answer = None;
        self.answer = self.reserve_body(bytes).await?;
        Ok(())
    }

    /// Reserves room for an answer that is there already, if there is room at once. If not, it has
    /// to be dropped before one waits for room.
    pub(crate) fn try_reserve_answer(&mut self, bytes: usize) -> bool {
        let Some(budget) = self.budget.as_ref().filter(|_| bytes > UNCOUNTED_BYTES_MAX) else {
            return true;
        };
        self.answer = budget.try_reserve(bytes);
        self.answer.is_some()
    }

    /// Waits for the turn to read the first piece of an answer that may become a stream.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match &self.budget {
            Some(budget) => budget.turn().await,
            None => None,
        }
    }

    /// Makes the request a stream: an answer whose end is not known, and whose pieces each find room
    /// before they are made. What was reserved for the answer stays so until the stream ends.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn begin_stream(&mut self) -> Result<StreamBudget, HttpError> {
        if let Some(budget) = &self.budget {
            self.presence = Some(budget.begin_stream()?);
        }
        Ok(StreamBudget(self.budget.clone()))
    }

    /// Ties what the request holds to the body of its answer.
    pub(crate) fn finish(self, response: Response) -> Response {
        let Self { budget: Some(budget), presence, mut answer } = self else { return response };
        if let Some(bytes) = response.body().size_hint().exact() {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            if bytes == 0 {
                return response;
            }
            match &mut answer {
                _ if bytes <= UNCOUNTED_BYTES_MAX => answer = None,
                Some(answer) => answer.shrink_to(bytes),
                None => answer = Some(budget.take(bytes)),
            }
        }
        response.map(|body| Body::new(AdmittedBody { body, answer, presence }))
    }
}

/// The budget of a stream's pieces.
#[derive(Clone, Default)]
pub(crate) struct StreamBudget(Option<Arc<dyn Budget>>);

impl StreamBudget {
    /// Waits for room for a piece of up to about this many bytes.
    pub(crate) async fn reserve(&self, bytes: usize) -> PieceRoom {
        match &self.0 {
            Some(budget) => {
                let room = budget.wait(bytes).await;
                PieceRoom(Some((room, budget.turn().await)))
            }
            None => PieceRoom(None),
        }
    }
}

/// Room for one piece of a stream, and the turn to make it.
pub(crate) struct PieceRoom(Option<(Box<dyn Room>, Option<OwnedSemaphorePermit>)>);

impl PieceRoom {
    /// Returns the piece, which counts until it has been sent.
    pub(crate) fn hold(self, piece: Bytes) -> Bytes {
        match self.0 {
            Some((room, _turn)) => hold(room, piece),
            None => piece,
        }
    }
}

/// Returns bytes that count as long as anything refers to them.
pub(crate) fn hold(mut room: Box<dyn Room>, bytes: Bytes) -> Bytes {
    room.shrink_to(bytes.len());
    Bytes::from_owner(Held { bytes, _room: room })
}

/// Bytes with their room, as the owner of a buffer.
struct Held {
    bytes: Bytes,
    _room: Box<dyn Room>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an answer with what its request holds.
    struct AdmittedBody {
        #[pin]
        body: Body,
        answer: Option<Box<dyn Room>>,
        presence: Option<OwnedSemaphorePermit>,
    }
}

impl http_body::Body for AdmittedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let whole = this.body.size_hint().exact().is_some();
        let frame = this.body.poll_frame(context);
        // A body in memory is one piece, which the connection has until it is sent. What was reserved
        // for a stream stays with the stream.
        frame.map_ok(|frame| match this.answer.take_if(|_| whole) {
            Some(room) => frame.map_data(|piece| hold(room, piece)),
            None => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Bytes that count in a number.
    struct Counted(Arc<AtomicUsize>);

    impl Room for Counted {
        fn shrink_to(&mut self, bytes: usize) {
            self.0.fetch_min(bytes, Relaxed);
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.store(0, Relaxed);
        }
    }

    #[test]
    fn bytes_count_as_long_as_anything_refers_to_them() {
        let count = Arc::new(AtomicUsize::new(8 << 10));
        let held = hold(Box::new(Counted(Arc::clone(&count))), Bytes::from_static(&[0; 5000]));
        assert_eq!(count.load(Relaxed), 5000, "what is not needed is given back");
        let part = held.slice(10..20);
        drop(held);
        assert_eq!(count.load(Relaxed), 5000);
        drop(part);
        assert_eq!(count.load(Relaxed), 0);
    }
}
