//! What one request holds of its key's budgets, from its admission until its answer is sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    account::{Account, Turn},
    bytes::{ByteCharge, UNCOUNTED_BYTES_MAX},
};
use crate::error::HttpError;

/// The part of its key's budgets that a request holds; nothing before [`begin`](Self::begin), and
/// everything fits then.
#[derive(Default)]
pub(crate) struct Admission {
    account: Option<Arc<Account>>,
    /// The right to be in flight, as a request or as a stream.
    presence: Option<OwnedSemaphorePermit>,
    /// What was reserved for the answer.
    answer: Option<ByteCharge>,
}

impl Admission {
    /// Waits until the request may go on, at most for the time that the budgets give.
    ///
    /// # Errors
    /// 429.
    pub(crate) async fn begin(&mut self, account: Arc<Account>) -> Result<(), HttpError> {
        self.presence = Some(account.begin_request().await?);
        self.account = Some(account);
        Ok(())
    }

    /// Reserves room for a request's body.
    ///
    /// # Errors
    /// 429 or 503.
    pub(crate) async fn reserve_body(&self, bytes: usize) -> Result<Option<ByteCharge>, HttpError> {
        match &self.account {
            Some(account) if bytes > UNCOUNTED_BYTES_MAX => Ok(Some(account.reserve(bytes).await?)),
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
        let Some(account) = self.account.as_ref().filter(|_| bytes > UNCOUNTED_BYTES_MAX) else {
            return true;
        };
        self.answer = account.try_reserve(bytes);
        self.answer.is_some()
    }

    /// Waits for the key's turn to read the first piece of an answer that may become a stream.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        match &self.account {
            Some(account) => Some(account.turn().await),
            None => None,
        }
    }

    /// Makes the request a stream: an answer whose end is not known, and whose pieces each find room
    /// before they are made. What was reserved for the answer stays so until the stream ends.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn begin_stream(&mut self) -> Result<StreamBudget, HttpError> {
        if let Some(account) = &self.account {
            self.presence = Some(account.begin_stream()?);
        }
        Ok(StreamBudget(self.account.clone()))
    }

    /// Ties what the request holds to the body of its answer.
    pub(crate) fn finish(self, response: Response) -> Response {
        let Self { account: Some(account), presence, mut answer } = self else { return response };
        if let Some(bytes) = response.body().size_hint().exact() {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            if bytes == 0 {
                return response;
            }
            match &mut answer {
                _ if bytes <= UNCOUNTED_BYTES_MAX => answer = None,
                Some(answer) => answer.shrink_to(bytes),
                None => answer = Some(account.take(bytes)),
            }
        }
        response.map(|body| Body::new(AdmittedBody { body, answer, presence }))
    }
}

/// The budget of a stream's pieces.
#[derive(Clone, Default)]
pub(crate) struct StreamBudget(Option<Arc<Account>>);

impl StreamBudget {
    /// Waits for room for a piece of up to about this many bytes.
    pub(crate) async fn reserve(&self, bytes: usize) -> PieceBudget {
        match &self.0 {
            Some(account) => PieceBudget(Some(account.reserve_piece(bytes).await)),
            None => PieceBudget(None),
        }
    }
}

/// Room for one piece of a stream, and the turn to make it.
pub(crate) struct PieceBudget(Option<(ByteCharge, Turn)>);

impl PieceBudget {
    /// Returns the piece, which counts until it has been sent.
    pub(crate) fn hold(self, piece: Bytes) -> Bytes {
        match self.0 {
            Some((charge, _turn)) => charge.hold(piece),
            None => piece,
        }
    }
}

pin_project! {
    /// The body of an answer with what its request holds.
    struct AdmittedBody {
        #[pin]
        body: Body,
        answer: Option<ByteCharge>,
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
            Some(charge) => frame.map_data(|piece| charge.hold(piece)),
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
