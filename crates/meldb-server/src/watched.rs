//! An answer that goes on for a while, and ends with the key that it was asked for with.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Error, body::Body, http::header, response::Response};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use meldb_http::{Code, EVENT_STREAM, HttpError, KeyId};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    auth::Caller,
    keys::{Keys, Rejection, Standing},
};

/// How often the key is looked at again; the contract allows a second.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Has an answer that is streamed end when the key of its caller does. One that is there as a
/// whole stays as it is, and so does one for a caller without a key.
pub(crate) fn watch(response: Response, keys: &Keys, caller: &Caller) -> Response {
    let Caller::Key { key, standing } = caller else { return response };
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let tells_errors = content_type.is_some_and(|value| value == EVENT_STREAM);
    let mut timer = interval_at(Instant::now() + RECHECK_INTERVAL, RECHECK_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (keys, key, standing) = (keys.clone(), key.id.clone(), *standing);
    response.map(|inner| {
        let (check, ended) = (None, false);
        Body::new(Watched { inner, keys, key, standing, timer, check, tells_errors, ended })
    })
}

type Check = Pin<Box<dyn Future<Output = Option<HttpError>> + Send>>;

/// A body that is read on as long as a key works.
struct Watched {
    inner: Body,
    keys: Keys,
    key: KeyId,
    standing: Standing,
    timer: Interval,
    /// Looks at the key; nothing is sent before it has answered.
    check: Option<Check>,
    /// Whether the form of the body can tell why it ends. Any other is broken off, so that nobody
    /// takes a part for the whole.
    tells_errors: bool,
    ended: bool,
}

impl Watched {
    fn start_check(&self) -> Check {
        let (keys, standing) = (self.keys.clone(), self.standing);
        Box::pin(async move {
            match keys.recheck(standing).await {
                Ok(Ok(_)) => None,
                Ok(Err(Rejection::Expired)) => Some(ended("the API key has expired")),
                Ok(Err(_)) => Some(ended("the API key was revoked")),
                Err(error) => Some(error.into()),
            }
        })
    }

    fn end(&mut self, error: &HttpError) -> Option<Result<Frame<Bytes>, Error>> {
        self.ended = true;
        self.inner = Body::empty();
        let key = self.key.as_str();
        tracing::info!(key, reason = error.text(), "an answer ended with its key");
        Some(match self.tells_errors {
            true => Ok(Frame::data(error.event())),
            false => Err(Error::new(std::io::Error::other(error.text()))),
        })
    }
}

fn ended(message: &'static str) -> HttpError {
    HttpError::new(Code::Unauthenticated, message)
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(check) = &mut this.check {
                let error = ready!(check.as_mut().poll(context));
                this.check = None;
                if let Some(error) = error {
                    return Poll::Ready(this.end(&error));
                }
            }
            if this.timer.poll_tick(context).is_pending() {
                return Pin::new(&mut this.inner).poll_frame(context);
            }
            this.check = Some(this.start_check());
        }
    }
}
